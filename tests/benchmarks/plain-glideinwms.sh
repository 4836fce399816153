# shellcheck shell=bash disable=SC2034,SC2154  # plain.sh uses what is set here, and has set the domain
# What plain.sh has to know of GlideinWMS.
token=/var/lib/gwms-frontend/.condor/tokens.d/ce-workspace.$domain.scitoken
token_owner=frontend:frontend
declare -A package=([factory]=glideinwms-factory [frontend]=glideinwms-vofrontend)
declare -A configuration=([factory]="python3 factory.py" [frontend]="python3 frontend.py")
declare -A services=([factory]="httpd gwms-factory" [frontend]="httpd gwms-frontend")
home=/var/lib/gwms-frontend/.condor/tokens.d
# Made on, identity, put on, path, owner.
trust=(
    "factory vofrontend_service@factory-workspace.$domain frontend $home/factory-workspace.$domain.idtoken frontend:frontend"
    "factory gfactory@factory-workspace.$domain factory /var/lib/gwms-factory/.condor/tokens.d/factory-workspace.$domain.idtoken gfactory:gfactory"
    "frontend vofrontend_service@frontend-workspace.$domain frontend $home/frontend-workspace.$domain.idtoken frontend:frontend"
)
# Its ReleaseManager knows Red Hat's family only.
build_environment=(--env LANG=C.UTF-8 --env UNIXCONFDIR=/usr/share/itb/el-names)
site_attribute=GLIDEIN_Site
logs="/var/log/gwms-factory /var/log/gwms-frontend"
