"""Configuration files: flat YAML in which every key is known and every type is checked."""

import yaml


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, line or key."""


def load(path, keys):
    """Return the settings of a YAML file as a dict.

    ``keys`` maps each known key to its default, or to its type if the file
    must give it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file) or {}
    except OSError as error:
        raise ConfigError("%s: %s" % (path, error.strerror)) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError("%s, line %d: %s" % (path, error.problem_mark.line + 1, error.problem)) from None
    if not isinstance(found, dict):
        raise ConfigError("%s: not a list of 'key: value' lines" % path)
    unknown = sorted(str(key) for key in found if key not in keys)
    if unknown:
        raise ConfigError("%s: unknown key %s; valid are %s" % (path, unknown[0], ", ".join(sorted(keys))))
    settings = {}
    for key, default in keys.items():
        kind = default if isinstance(default, type) else type(default)
        if key not in found and default is kind:
            raise ConfigError("%s: %s is missing" % (path, key))
        settings[key] = found.get(key, default)
        if not isinstance(settings[key], kind):
            raise ConfigError("%s: %s must be %s, not %r" % (path, key, kind.__name__, settings[key]))
    return settings
