#!/bin/bash
# What `itb run --product NAME --platform deb13 --scenario smoke` does, by
# hand: bare podman, rpmbuild by the product's release.py, rpmsign, createrepo_c,
# nginx, dnf and HTCondor's commands, as fast as they can be put together and in
# parallel wherever one thing does not need another.  The measure for itb.
#
# usage: plain.sh WORK
#   WORK           folder for everything it writes
# Environment: BARE BUILD SERVICES  images of the platform; NAME  the product,
# what is its own is in plain-NAME.sh; GIT  its repository; REF  branch or tag to
# build; VERSION RC RELEASE  as release.py takes them (the last two may be empty);
# PRODUCT CE  folders with the scripts that configure roles; ISSUER  program that
# writes openid-configuration, jwks.json and token to the current folder.
# Prints a line "SECONDS WHAT" as each part ends.
# shellcheck disable=SC2016  # what runs in a host is expanded there
set -euo pipefail
: "${BARE:?}" "${BUILD:?}" "${SERVICES:?}" "${NAME:?}" "${GIT:?}" "${REF:?}" "${VERSION:?}"
: "${PRODUCT:?}" "${CE:?}" "${ISSUER:?}"
work=$1
domain=glideinwms.org
name=itb-plain-$$
# shellcheck source=plain-glideinwms.sh
. "$(dirname "${BASH_SOURCE[0]}")/plain-$NAME.sh"
began=$EPOCHREALTIME
lap() { printf '%7.2f %s\n' "$(bc <<<"$EPOCHREALTIME - $began")" "$*"; }

mkdir -p "$work"
cd "$work"
down() {
    podman rm --force --time 0 --ignore "$name"-{services,ce,factory,frontend,workspace} >/dev/null
    podman network rm --force "$name" >/dev/null
    lap down
}
trap down EXIT

# both COMMAND...: waits for these background jobs; any that fails is the end.
join() {
    local job
    for job; do wait "$job"; done
}
in_host() { podman exec --interactive "$name-$1" "${@:2}"; }

# --- certificates --------------------------------------------------------------
podman network create "$name" >/dev/null &
network=$!
curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc)
openssl req -x509 "${curve[@]}" -keyout ca.key -out ca.pem -days 2 -subj "/CN=plain CA" 2>/dev/null
authority=$(openssl x509 -hash -noout -in ca.pem).0
cp ca.pem "$authority"
for role in services ce factory frontend workspace; do
    names=DNS:$role-workspace.$domain
    [ "$role" != services ] || names+=,DNS:repo.$domain,DNS:tokens.$domain
    openssl req "${curve[@]}" -keyout "$role.key" -out "$role.csr" -subj "/CN=$role-workspace.$domain" 2>/dev/null
    openssl x509 -req -in "$role.csr" -CA ca.pem -CAkey ca.key -days 2 -out "$role.pem" \
        -extfile <(echo "subjectAltName=$names") 2>/dev/null
done

# --- network and hosts, each as soon as it can be ------------------------------
join "$network"
prefix=$(podman network inspect "$name" --format '{{(index .Subnets 0).Subnet}}' | cut --delimiter=. --fields=1-3)
host() { # ROLE IMAGE NUMBER OPTION...: started, booted, with a certificate, trusting the CA
    podman run --detach --name "$name-$1" --network "$name" --ip "$prefix.$3" --systemd=always \
        --hostname "$1-workspace.$domain" --network-alias "$1-workspace.$domain" "${@:4}" \
        "$2" /usr/lib/systemd/systemd >/dev/null
    # What update-ca-certificates does for one certificate, without the second it takes to look at all.
    tar --create --owner=root --group=root --transform 's|^ca.pem|usr/local/share/ca-certificates/plain.crt|' \
        --transform "s|^$authority|etc/ssl/certs/$authority|" \
        --transform "s|^$1.pem|etc/grid-security/hostcert.pem|" --transform "s|^$1.key|etc/grid-security/hostkey.pem|" \
        ca.pem "$authority" "$1.pem" "$1.key" |
        in_host "$1" bash -c 'tar --extract --directory=/ && chmod 755 /etc/grid-security &&
            chmod 644 /etc/grid-security/hostcert.pem &&
            cat /usr/local/share/ca-certificates/plain.crt >>/etc/ssl/certs/ca-certificates.crt
            until systemctl is-system-running --wait >/dev/null 2>&1 ||
                [ "$(systemctl is-system-running 2>/dev/null)" = degraded ]; do sleep 0.1; done'
}
host services "$SERVICES" 10 --network-alias "repo.$domain" --network-alias "tokens.$domain" &
serving=$!
hosts=()
number=11
for role in ce factory frontend; do
    host "$role" "$BARE" "$number" &
    hosts+=($!)
    number=$((number + 1))
done
host workspace "$BUILD" 15 &
hosts+=($!)

# --- repositories, issuer and signing key, meanwhile ---------------------------
"$ISSUER"
git clone --quiet --depth 1 --branch "$REF" "file://$GIT" "source/$NAME" 2>/dev/null
cat >nginx.conf <<NGINX
events {}
http {
    include /etc/nginx/mime.types;
    ssl_certificate /etc/grid-security/hostcert.pem;
    ssl_certificate_key /etc/grid-security/hostkey.pem;
    server { listen 443 ssl; server_name repo.$domain; root /srv/repo; }
    server { listen 443 ssl; server_name tokens.$domain; root /srv/issuer; default_type application/json; }
}
NGINX
join "$serving"
tar --create --transform 's|^nginx.conf|etc/nginx/nginx.conf|' \
    --transform 's|^openid|srv/issuer/itb/.well-known/openid|' --transform 's|^jwks|srv/issuer/itb/jwks|' \
    nginx.conf openid-configuration jwks.json |
    in_host services bash -c 'tar --extract --no-same-owner --directory=/ && mkdir -p /srv/repo/candidate &&
        systemctl restart nginx && gpg --batch --quiet --passphrase "" --quick-generate-key plain rsa2048 sign 7d &&
        gpg --batch --armor --export plain >/srv/repo/candidate/KEY' 2>/dev/null
join "${hosts[@]}"
lap "hosts and web server"

environment=(--env "ITB_HOST_CE=ce-workspace.$domain" --env "ITB_HOST_FACTORY=factory-workspace.$domain"
    --env "ITB_HOST_FRONTEND=frontend-workspace.$domain" --env "ITB_CE_ADDRESS=ce-workspace.$domain:9619"
    --env "ITB_TOKEN_PATH=$token")
configure() { # ROLE FOLDER COMMAND...: with the folder's files around
    tar --create --directory="$2" --exclude=source . |
        podman exec --interactive "${environment[@]}" "$name-$1" bash -c 'mkdir -p /root/conf && cd /root/conf &&
            tar --extract --no-same-owner && exec "$@"' configure "${@:3}" >"$1.conf.log" 2>&1
}
install_packages=(dnf --assumeyes --quiet --setopt=install_weak_deps=False install)

# --- the CE, while the candidate is built --------------------------------------
{
    in_host ce "${install_packages[@]}" condor >ce.log 2>&1
    configure ce "$CE" bash condor.sh
    in_host ce systemctl enable --now --quiet condor
    lap "CE"
} &
ce=$!
{
    tar --create --directory=source "$NAME" | in_host workspace tar --extract --no-same-owner --directory=/root
    # Of more than 64 KiB of errors some release.py never read the end.
    in_host workspace bash -c 'mkdir /root/bin && printf "#!/bin/sh\nexec /usr/bin/rpmbuild \"\$@\" 2>/root/rpmbuild.err\n" \
            >/root/bin/rpmbuild && chmod 755 /root/bin/rpmbuild
        cd /root/$1 && dnf --quiet --assumeyes --disableplugin=local builddep "$(find . -name "*.spec")"' \
        build "$NAME" >requires.log 2>&1
    podman exec "${build_environment[@]}" --env "PATH=/root/bin:/usr/sbin:/usr/bin" --workdir "/root/$NAME" "$name-workspace" \
        python3 build/ReleaseManager/release.py --release-version "$VERSION" ${RC:+--rc "$RC"} \
        ${RELEASE:+--rpm-release "$RELEASE"} --source-dir "/root/$NAME" --release-dir /root/release --no-mock --verbose \
        >build.log 2>&1
    lap "build"
    in_host workspace bash -c 'tar --create --directory="$(dirname "$(find /root/release -name "*-libs-*.noarch.rpm" | head -1)")" .' |
        in_host services bash -c 'cd /srv/repo/candidate && tar --extract --no-same-owner &&
            rpmsign --addsign --define "_gpg_name plain" ./*.rpm && createrepo_c --quiet . &&
            gpg --batch --yes --armor --detach-sign repodata/repomd.xml && rpmkeys --import KEY &&
            rpmkeys --checksig ./*.rpm' >serve.log 2>&1
    lap "repository"
} &
build=$!
join "$build"

# --- the candidate on its roles ------------------------------------------------
cat >candidate.repo <<REPO
[candidate]
name=candidate
baseurl=https://repo.$domain/candidate/
gpgcheck=1
repo_gpgcheck=1
gpgkey=https://repo.$domain/candidate/KEY
priority=1
REPO
role() { # ROLE
    in_host "$1" bash -c 'sed -i "s/^\[.*\]$/&\nexcludepkgs=$1*/" /etc/yum.repos.d/*.repo
        cat >/etc/yum.repos.d/candidate.repo' role "$NAME" <candidate.repo
    in_host "$1" "${install_packages[@]}" "${package[$1]}" >"$1.log" 2>&1
    in_host "$1" bash -c 'rpm --verify $(rpm --query --all "$1*") || true
        ! dnf --quiet --cacheonly repoquery --installed --queryformat "%{name} %{from_repo}" "$1*" |
            grep --invert-match " candidate$"' role "$NAME"
    read -r -a command <<<"${configuration[$1]}"
    configure "$1" "$PRODUCT" "${command[@]}"
    in_host "$1" bash -c 'systemctl enable --now --quiet condor
        until [ -s /etc/condor/passwords.d/POOL ]; do sleep 0.1; done'
}
role factory &
roles=($!)
role frontend &
join "${roles[@]}" "$!"
join "$ce"
lap "installed"

# --- trust, token, services ------------------------------------------------------
tokens=()
for index in "${!trust[@]}"; do
    read -r on identity _ <<<"${trust[index]}"
    in_host "$on" condor_token_create -key POOL -identity "$identity" -lifetime 86400 >"idtoken.$index" &
    tokens+=($!)
done
join "${tokens[@]}"
deliver() { # FILE ROLE PATH OWNER
    in_host "$2" bash -c 'folder=$(dirname "$1")
        [ -d "$folder" ] || install --directory --mode=700 --owner="${2%:*}" --group="${2#*:}" "$folder"
        umask 077 && cat >"$1" && chown "$2" "$1"' deliver "$3" "$4" <"$1"
}
deliver token frontend "$token" "$token_owner" &
tokens=($!)
for index in "${!trust[@]}"; do
    read -r _ _ to path owner <<<"${trust[index]}"
    deliver "idtoken.$index" "$to" "$path" "$owner" &
    tokens+=($!)
done
join "${tokens[@]}"
# shellcheck disable=SC2086  # several units
in_host factory systemctl enable --now --quiet ${services[factory]} &
started=$!
# shellcheck disable=SC2086
in_host frontend systemctl enable --now --quiet ${services[frontend]}
join "$started"
# Up, and still up three seconds later.
checks=()
for item in "ce" "factory ${services[factory]}" "frontend ${services[frontend]}"; do
    read -r -a units <<<"$item"
    in_host "${units[0]}" bash -c 'sleep 3; systemctl is-active --quiet condor "$@"' check "${units[@]:1}" &
    checks+=($!)
done
join "${checks[@]}"
lap "started"

# --- ten jobs ------------------------------------------------------------------
cat >job.sh <<'JOB'
#!/bin/bash
echo "job $1 ran on $(hostname)"
sleep 1
JOB
cat >ten.sub <<SUBMIT
executable = job.sh
arguments = \$(Process)
output = \$(Process).out
error = \$(Process).err
log = jobs.log
should_transfer_files = YES
when_to_transfer_output = ON_EXIT
request_memory = 32
request_disk = 10M
job_machine_attrs = $site_attribute
queue 10
SUBMIT
tar --create job.sh ten.sub | in_host frontend bash -c 'id testuser >/dev/null 2>&1 || useradd --create-home testuser
    tar --extract --no-same-owner --directory=/home/testuser && chown testuser: /home/testuser/{job.sh,ten.sub}'
podman exec --user testuser --workdir /home/testuser "$name-frontend" bash -c '
    chmod +x job.sh
    until cluster=$(condor_submit -terse ten.sub 2>/dev/null); do sleep 0.5; done
    until [ "$(condor_history "${cluster%%.*}" -limit 10 -af JobStatus ExitCode | grep --count "^4 0$")" = 10 ]; do
        sleep 1
    done
    grep --quiet "ran on" {0..9}.out'
in_host ce bash -c 'condor_history -limit 10 -af AuthTokenIssuer | grep --quiet tokens' || true
lap "jobs"

# --- what refuses bad tokens ----------------------------------------------------
for kind in wrong-audience expired other-key; do
    in_host frontend bash -c 'cat >/root/bad' <"token.$kind"
    if in_host frontend env _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS _CONDOR_SCITOKENS_FILE=/root/bad \
        condor_ping -pool "ce-workspace.$domain:9619" -name "ce-workspace.$domain" -type schedd WRITE >/dev/null 2>&1; then
        echo "the CE takes a token that is $kind" >&2
        exit 1
    fi
done
lap "bad tokens"

# --- evidence -------------------------------------------------------------------
for role in services ce factory frontend workspace; do
    in_host "$role" bash -c 'journalctl --boot --no-pager >/tmp/journal; rpm --query --all >/tmp/packages
        tar --create --ignore-failed-read /tmp/journal /tmp/packages /var/log/condor $1' evidence "$logs" \
        >"$role.tar" 2>/dev/null &
    checks+=($!)
done
join "${checks[@]:3}" || true
lap "evidence"
