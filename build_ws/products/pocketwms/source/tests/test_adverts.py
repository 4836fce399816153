"""Credentials are for the factory whose key they are sealed for."""

import unittest

from pocketwms import adverts


class SealTest(unittest.TestCase):
    """Two factories."""

    def setUp(self):
        self.ours, self.theirs = adverts.new_key(), adverts.new_key()
        self.sealed = adverts.seal(adverts.public_part(self.ours), {"ce_token": "secret"})

    def test_sealed_is_unreadable(self):
        self.assertNotIn("secret", self.sealed)

    def test_owner_of_the_key_reads_it(self):
        self.assertEqual(adverts.unseal(self.ours, self.sealed), {"ce_token": "secret"})

    def test_nobody_else_does(self):
        with self.assertRaises(ValueError):
            adverts.unseal(self.theirs, self.sealed)

    def test_damaged(self):
        with self.assertRaisesRegex(ValueError, "damaged"):
            adverts.unseal(self.ours, self.sealed[:-8])


if __name__ == "__main__":
    unittest.main()
