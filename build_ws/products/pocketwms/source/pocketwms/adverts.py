"""What frontend and factory tell each other: ClassAds in the factory's collector.

Anybody who may query a collector sees the ads in it, and HTCondor keeps only
attributes of its own private.  Credentials therefore travel sealed for the
factory's public key, which its own ad carries: a fresh symmetric key per
request encrypts them, and only the factory can recover that key.
"""

import base64
import json

try:  # HTCondor 25 has only the second generation of the bindings, HTCondor 9 and 10 only the first.
    import classad2 as classad
    import htcondor2 as htcondor
except ImportError:
    import classad
    import htcondor
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# What the bindings raise when a daemon is away or refuses: a reason to try again later.
HTCONDOR_ERRORS = (OSError, RuntimeError, ValueError, getattr(htcondor, "HTCondorException", RuntimeError))
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def publish(collector, kind, name, lifetime, **attributes):
    """Put an ad into a collector, over TCP so that a refusal is noticed.

    Sent as a master's ad: to allow that needs ADVERTISE_MASTER, the least a
    collector can grant to a publisher.
    """
    ad = classad.ClassAd({"MyType": "Pocket" + kind, "Name": "%s-%s" % (kind.lower(), name)})
    ad["PocketName"] = name
    ad["ClassAdLifetime"] = lifetime
    for key, value in attributes.items():
        ad[key] = value
    collector.advertise([ad], "UPDATE_MASTER_AD", True)


def find(collector, kind, identity):
    """Return the ads of a kind that the collector received from this identity."""
    wanted = 'MyType == "Pocket%s" && AuthenticatedIdentity =?= "%s"' % (kind, identity)
    return collector.query(htcondor.AdTypes.Any, wanted)


def new_key():
    """Return a private key as PEM text."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def public_part(private_pem):
    """Return the public key of a private one, both PEM text."""
    key = serialization.load_pem_private_key(private_pem.encode(), None).public_key()
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, kind).decode()


def seal(public_pem, secrets):
    """Return a dict of texts as text that only the owner of the key can read."""
    key = Fernet.generate_key()
    wrapped = serialization.load_pem_public_key(public_pem.encode()).encrypt(key, OAEP)
    return base64.b64encode(wrapped).decode() + ":" + Fernet(key).encrypt(json.dumps(secrets).encode()).decode()


def unseal(private_pem, sealed):
    """Return the dict that was sealed; ValueError if it was not sealed for this key."""
    wrapped, _, data = sealed.partition(":")
    key = serialization.load_pem_private_key(private_pem.encode(), None).decrypt(base64.b64decode(wrapped), OAEP)
    try:
        return json.loads(Fernet(key).decrypt(data.encode()).decode())
    except InvalidToken:
        raise ValueError("credentials are damaged") from None
