# shellcheck shell=bash
# SciTokens against a Compute Entrypoint; a script takes it with: source "$ITB_LIB/tokens.sh"
#
# Tokens are named by their file, never by their value.  The CE's schedd is
# asked directly: on the way through its collector a refusal could not be told
# from a CE that is down.

: "${ITB_CE_ADDRESS:?}" "${ITB_HOST_CE:?}"
export _CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS

# with_token FILE COMMAND...: a command of HTCondor's with this token only.
with_token() {
  _CONDOR_SCITOKENS_FILE=$1 "${@:2}"
}

# schedd_address: where the CE's schedd listens, as its collector says to the run's own token.
schedd_address() {
  local address
  address=$(with_token "${ITB_BEARER_TOKEN_FILE:?}" condor_status -pool "$ITB_CE_ADDRESS" -schedd -af MyAddress 2>&1 |
    head --lines=1)
  case $address in
  "<"*) echo "$address" ;;
  *)
    echo "the CE's collector does not take the run's own token: $address" >&2
    return 1
    ;;
  esac
}

# ask_to_write FILE: ask the CE's schedd for the right to submit with this token; prints its answer.
# A script that asks often sets ce_schedd to the schedd_address before.
ask_to_write() {
  local address=${ce_schedd:-}
  [ -n "$address" ] || address=$(schedd_address) || return 2
  with_token "$1" timeout 60 condor_ping -addr "$address" -type schedd -verbose WRITE 2>&1
}

# refusal ANSWER: the line of the schedd's answer that refuses; nothing if it came too late to be an answer.
refusal() {
  ! grep --quiet --extended-regexp 'AUTHENTICATE:1006|exceeded [0-9]+ deadline' <<<"$1" || return 0
  grep --extended-regexp --max-count=1 'AUTHENTICATE:1004|DENIED' <<<"$1" || true
}
