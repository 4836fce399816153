"""Redaction: replacing the secrets in every log, message and report.

What itb makes or is given is known (:mod:`itb.util.known_secrets`).  What
others make is found by how it looks: JSON Web Tokens, Vault tokens, private
keys whole and broken (PEM, JWK, openssl's text), authorization headers,
bearer tokens, members such as access_token, options such as --password,
logins and signatures in URLs.  Both are also
found in the encodings of :mod:`itb.util.encodings`, in each other up to three
times, between colour codes, wrapped over several lines and in rows of dumps.
"""

from __future__ import annotations

import os
import re

from itb.util import dumps, encodings, key_text, known_secrets

MARK = "[redacted]"
_MARK = MARK.encode()

# Three parts, or the first two of them, because some programs do not print all of it.
_DOT = rb"(?:\.|&#(?:46|[xX]2[eE]);|&period;|\\+u002[eE])"  # plain, in HTML or XML, in JSON
_JWT = re.compile(
    # A word without what follows is matched, too, and kept: else each eyJ in it would be tried to its end.
    rb"eyJ[A-Za-z0-9_-]{5,}+(" + _DOT +
    rb"(?:[A-Za-z0-9_-]{5,}" + _DOT + rb"[A-Za-z0-9_-]*|eyJ[A-Za-z0-9_-]{5,}))?"
)  # fmt: skip
_VAULT = re.compile(rb"\b(?:hv[sbr]" + _DOT + rb"[A-Za-z0-9_-]{20,}|s" + _DOT + rb"[A-Za-z0-9]{24}\b)")
_LOGIN = re.compile(rb"://([^/\s:@\"'<>[]{0,1000})(?::([^/\s@\"']{1,1000}))?(?=@)")
# With a scheme, or with a value that is too long for a word: "authorization: denied" is no secret.
_HEADER = re.compile(
    rb"(?i)((?:authorization|x-vault-token)\\?[\"']?\s*[:=]\s*\\?[\"']?)"
    rb"(?:(?:bearer|basic|token|negotiate)\s+[^\s\"'\\]+|[^\s\"'\\]{16,})"
)
_QUOTE = rb"(?:\\*[\"']|&quot;|&#34;)"
# A token has a digit in it, or is longer than a word: "bearer authentication" is no secret.
_RANDOM = rb"(?=[A-Za-z._~+/-]*[0-9]|[A-Za-z._~+/-]{20})[A-Za-z0-9][A-Za-z0-9._~+/-]{7,}={0,2}"
_BEARER = re.compile(rb"(\bbearer(?:[ \t]+|%20|\+))" + _RANDOM, re.IGNORECASE)
# Patterns begin with a plain character where they can: that is looked for ten times as fast.
_SECRET_MEMBER = (
    rb"_(?:token|secret|(?<=device_)code|(?<=code_)verifier|(?<=client_)assertion)"
)
_MEMBER = re.compile(
    rb"(" + _SECRET_MEMBER + _QUOTE + rb"[ \t]*[:=][ \t]*" + _QUOTE + rb")[^\s\"'\\&]{4,}"
    rb"|(" + _SECRET_MEMBER + rb"[ \t]*[:=][ \t]*" + _QUOTE + rb"?)" + _RANDOM,
    re.IGNORECASE,
)
_SECRET_OPTION = rb"-(?<![\w-]-)-?(?:[a-z]+[-_])*(?:password|passwd|passphrase|secret|token|pin)"
_OPTION = re.compile(
    rb"(" + _SECRET_OPTION + rb"=" + _QUOTE + rb"?)[^\s\"'\\/$][^\s\"'\\]{3,}"
    rb"|(" + _SECRET_OPTION + rb"[ \t]+" + _QUOTE + rb"?)" + _RANDOM,
    re.IGNORECASE,
)
_IN_QUERIES = (b"token=", b"sig=", b"signature=", b"secret=", b"password=", b"passwd=", b"apikey=", b"api_key=")
# Of a URL, such as one that its server has signed.
_QUERY = re.compile(
    rb"([?&](?:[a-z][\w-]{0,30}[_-])?(?:token|signature|sig|secret|password|passwd|apikey|api_key)=)"
    rb"[^\s\"'<>&#\\]{6,}",
    re.IGNORECASE,
)
# Of an RSA, elliptic or symmetric key as JSON (RFC 7518); of an RSA key as gpg's agent keeps it.
_JWK = re.compile(
    rb"([dpqk](?<=[\"';][dpqk])[pqi]?" + _QUOTE + rb"\s*:\s*" + _QUOTE + rb")"
    rb"(?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{22,}(?=" + _QUOTE + rb")"
)
_AGENT_KEY = re.compile(rb"(\((?:d|p|q|u)\s+#)[0-9A-Fa-f\s]{16,}(?=#)")
# Lines of a key: base64, or the headers of an encrypted one; newlines may be escaped, as in JSON.
_KEY_LINE = rb"(?:\s|\\r|\\n)*(?:[A-Za-z0-9+/=]{16,}|(?:Proc-Type|DEK-Info): [^\s\\]+)"
_BEGIN = rb"-----BEGIN (?P<kind>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----"
_PEM = re.compile(
    _BEGIN +
    rb"(?:(?:(?!-----BEGIN ).){0,20000}?-----END (?P=kind)-----"
    # a key without its end: as far as lines look like a key, and the last, shorter line
    rb"|(?:" + _KEY_LINE + rb")+(?:(?:\s|\\r|\\n)*[A-Za-z0-9+/=]{1,15}(?=\s*\Z))?)",
    re.DOTALL,
)  # fmt: skip
_KEY_MENTION = re.compile(_BEGIN)

# What may hide a secret besides encodings: colours, and long words that go on in the next lines.
_UNSEEN = re.compile(  # colours, NULs (of UTF-16), what takes no room (U+200B to U+200F, U+2060 to U+206F, U+FEFF)
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Z])|\0|\xe2(?:\x80[\x8b-\x8f]|\x81[\xa0-\xaf])|\xef\xbb\xbf"
)
_CHAR = rb"[A-Za-z0-9+/_.=-]"
_LINE_END = re.compile(rb"\r?\n[ \t]*")
_WRAPPED = re.compile(
    rb"(?<!" + _CHAR + rb")" + _CHAR + rb"{40,}+(?:\r?\n[ \t]*+" + _CHAR + rb"{40,}+){0,400}+"
    rb"(?:\r?\n[ \t]*+" + _CHAR + rb"++(?=\r?\n|\Z))?"
)
_DEPTH = 2  # encodings in each other that are undone besides the outermost
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]{12,}")  # what may be an encoding in decoded data


# First bytes of files that redaction cannot read: gzip, bzip2, xz, zstd, zip, ELF, lz4, compress, 7z.
_BINARY_STARTS = (
    b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\x7fELF",
    b"\x04\x22\x4d\x18", b"\x1f\x9d", b"7z\xbc\xaf\x27\x1c",
)  # fmt: skip
_SAMPLE_SIZE = 1 << 16  # bytes decoded to tell text from binary data
_CONTROL = re.compile(r"[\x01-\x07\x0e-\x1a\x1c-\x1f\x7f\ufffd]")


def is_text(data: bytes) -> bool:
    """Return whether redaction can read data: whether it is not compressed, encrypted or otherwise binary."""
    if data.startswith(_BINARY_STARTS) or b"\0" in data:
        return False
    start = data[:_SAMPLE_SIZE].decode("utf-8", "replace")
    return len(_CONTROL.findall(start)) * 10 <= len(start)


def redact_name(name: str) -> str:
    """Return a file's name with every secret replaced; bytes that are not UTF-8 are kept."""
    return os.fsdecode(redact_bytes(os.fsencode(name)))


def redact(text: str) -> str:
    """Return ``text`` with every secret replaced by ``[redacted]``."""
    return redact_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")


def redact_bytes(data: bytes) -> bytes:
    """Return ``data`` with every secret replaced by ``[redacted]``; without what is unseen if that splits one."""
    encodings.allow_unpacking(len(data))
    shown = _redact_plain_text(data)
    if _UNSEEN.search(data):
        plain = _redact_plain_text(_UNSEEN.sub(b"", data))
        if _UNSEEN.sub(b"", shown) != plain:
            return plain
    return shown


def _redact_plain_text(data: bytes) -> bytes:
    """Replace every secret in data in which all is seen: unencoded, wrapped or encoded."""
    data = _replace_secrets(_WRAPPED.sub(_redact_wrapped, data))
    data = dumps.redact_folded(data, _MARK, known_secrets.replace)
    data = dumps.redact_rows(data, _MARK, _is_secret)
    for encoding in encodings.ALL:
        if _is_secret(encoding.decoded(data)):
            data = encoding.replace(data, _MARK, _is_secret)
    return data


def _redact_wrapped(match: re.Match[bytes]) -> bytes:
    """Return a word that is wrapped over several lines, or the mark instead if it contains a secret."""
    lines = _LINE_END.split(match[0])
    line_start = match.string.rfind(b"\n", 0, match.start()) + 1
    widths = {len(lines[0]), match.start() - line_start + len(lines[0])}
    if len(lines) == 1 or (len(lines) == 2 and len(lines[1]) < 40 and not widths & dumps.WIDTHS):
        return match[0]  # the next line is no continuation
    return _MARK if _contains_secret(b"".join(lines)) else match[0]


def _contains_secret(text: bytes, depth: int = _DEPTH) -> bool:
    """Return whether a text contains a secret, plain or encoded."""
    if _replace_secrets(text) != text:
        return True
    return any(_is_secret(encoding.decoded(text), depth - 1) for encoding in encodings.ALL)


def _is_secret(decoded: bytes, depth: int = _DEPTH) -> bool:
    """Return whether decoded data contains a secret: a number of a key, a text, or one that is encoded again."""
    if not decoded:
        return False
    if encodings.UNREAD in decoded:
        return True
    if known_secrets.holds_piece(decoded) or known_secrets.replace(decoded, _MARK) != decoded:
        return True
    text = b"\n".join(_PRINTABLE.findall(_UNSEEN.sub(b"", decoded)))
    return _contains_secret(text, depth) if depth else _replace_secrets(text) != text


def _replace_secrets(data: bytes) -> bytes:
    """Replace every secret in data that is not encoded."""
    data = known_secrets.replace(data, _MARK)
    if b"eyJ" in data:
        data = _JWT.sub(lambda match: _MARK if match[1] else match[0], data)
    data = _VAULT.sub(_MARK, data)
    data = _replace_keys(data)
    if b"@" in data and b"://" in data:
        data = _LOGIN.sub(_redact_login, data)
    return _replace_named(data)


def _replace_keys(data: bytes) -> bytes:
    """Replace private keys, whole and broken, of any form."""
    if b"PRIVATE KEY" in data:
        data = _PEM.sub(_MARK, data)
    data = key_text.replace(data, _MARK)
    if b"PRIVATE KEY" in data:
        data = _KEY_MENTION.sub(_MARK, data)
    if b"(" in data and b" #" in data:
        data = _AGENT_KEY.sub(rb"\1" + _MARK, data)
    return _JWK.sub(rb"\1" + _MARK, data)


def _replace_named(data: bytes) -> bytes:
    """Replace what is secret by the name before it: in headers, members and options."""
    lowered = data.lower()
    if b"authorization" in lowered or b"x-vault-token" in lowered:
        data = _HEADER.sub(rb"\1" + _MARK, data)
    if b"bearer" in lowered:
        data = _BEARER.sub(rb"\1" + _MARK, data)
    if any(word in lowered for word in (b"_token", b"_secret", b"_code", b"_assertion")):
        data = _MEMBER.sub(rb"\1\2" + _MARK, data)
    if any(word in lowered for word in (b"token", b"pass", b"secret", b"pin")):
        data = _OPTION.sub(rb"\1\2" + _MARK, data)
    if b"://" in lowered and any(word in lowered for word in _IN_QUERIES):
        data = _QUERY.sub(rb"\1" + _MARK, data)
    return data


def _redact_login(match: re.Match[bytes]) -> bytes:
    """Return the login of a URL without its password, and without its user where that is a token."""
    user, password = match[1], match[2]
    scheme = match.string[max(0, match.start() - 5) : match.start()].lower()
    if known_secrets.is_login_scheme(scheme) and known_secrets.is_token_like(user.decode("utf-8", "replace")):
        user = _MARK
    return b"://" + user + (b":" + _MARK if password else b"")
