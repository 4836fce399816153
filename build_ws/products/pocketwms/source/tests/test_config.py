"""Configuration files are read, and what is wrong with one is named."""

import os
import tempfile
import unittest

from pocketwms import config, factory, frontend

KEYS = {"name": str, "loop_seconds": 30}


class ConfigTest(unittest.TestCase):
    """Files of a temporary folder."""

    def load(self, text):
        """Return the settings of a file with this text."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return config.load(path, KEYS)

    def test_defaults(self):
        self.assertEqual(self.load("name: x\n"), {"name": "x", "loop_seconds": 30})

    def test_unknown_key(self):
        with self.assertRaisesRegex(config.ConfigError, "unknown key nam; valid are loop_seconds, name"):
            self.load("nam: x\n")

    def test_missing_key(self):
        with self.assertRaisesRegex(config.ConfigError, "name is missing"):
            self.load("loop_seconds: 3\n")

    def test_wrong_type(self):
        with self.assertRaisesRegex(config.ConfigError, "loop_seconds must be int, not 'often'"):
            self.load("name: x\nloop_seconds: often\n")

    def test_line_of_an_error(self):
        with self.assertRaisesRegex(config.ConfigError, "line 2: "):
            self.load("name: x\nloop_seconds: a: b\n")

    def test_shipped_files(self):
        for role, keys in (("factory", factory.KEYS), ("frontend", frontend.KEYS)):
            with self.subTest(role=role):
                self.assertEqual(set(config.load("/etc/pocketwms/%s.yaml" % role, keys)), set(keys))


if __name__ == "__main__":
    unittest.main()
