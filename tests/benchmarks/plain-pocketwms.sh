# shellcheck shell=bash disable=SC2034,SC2154  # plain.sh uses what is set here, and has set the domain
# What plain.sh has to know of pocketwms.
state=/var/lib/pocketwms/frontend
token=$state/ce.scitoken
token_owner=pocketfrontend:pocketfrontend
declare -A package=([factory]=pocketwms-factory [frontend]=pocketwms-frontend)
declare -A configuration=([factory]="bash factory.sh" [frontend]="bash frontend.sh")
declare -A services=([factory]="httpd pocketwms-factory" [frontend]=pocketwms-frontend)
# Made on, identity, put on, path, owner.
trust=(
    "factory pocketfrontend@factory-workspace.$domain frontend $state/tokens.d/factory pocketfrontend:pocketfrontend"
    "frontend pilot@frontend-workspace.$domain frontend $state/pilot.idtoken pocketfrontend:pocketfrontend"
)
build_environment=(--env LANG=C.UTF-8)
site_attribute=PocketSite
logs=/var/log/pocketwms
