"""Debian packages into RPMs: many at a time, with EL's names where EL has other ones.

A converter of its own: standard library only, because it runs inside a
container made of nothing but Debian packages (``python3 -m debtorpm``), with
that Debian's own dpkg-deb and rpmbuild.

``versions`` and ``relations`` translate words, ``debian`` reads a package,
``payload`` lays out its files, ``scripts`` wraps its maintainer scripts,
``spec`` writes what rpmbuild reads, ``batch`` builds many packages at once and
``overrides`` says where a platform wants something else than the translation.
"""
