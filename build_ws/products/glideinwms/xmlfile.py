"""XML configuration files, edited as XML: what is not touched stays as the candidate ships it.

What an edit expects and the file has not is an error that names file and
element: a shipped configuration that became another one is a finding.
Runs on a host, with the platform's own Python (3.6 or later).
"""

import re
from xml.dom import minidom
from xml.parsers.expat import ExpatError

ATTRIBUTE = re.compile(r"""=\s*("[^"]*"|'[^']*')""")


class ConfigError(Exception):
    """A shipped file is not what the edits expect."""


class XmlFile:
    """A configuration file, from reading to writing back."""

    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.document = parse(path, text)
        match = re.match(r"<\?xml[^>]*\?>", text)
        self.declaration = match.group(0) if match else ""
        self.root = self.document.documentElement

    def one(self, names, within=None):
        """Return the first element at a path of names (a/b/c)."""
        element = within or self.root
        for name in names.split("/"):
            found = children(element, name)
            if not found:
                raise ConfigError("{}: no <{}> in <{}>".format(self.path, name, element.tagName))
            element = found[0]
        return element

    def only(self, names):
        """Return the first of the elements at a path, after removing its siblings of the same name."""
        first = self.one(names)
        parent = first.parentNode
        for other in children(parent, first.tagName)[1:]:
            if is_space(other.previousSibling):
                parent.removeChild(other.previousSibling)
            parent.removeChild(other)
        return first

    def add(self, parent, tag, **attributes):
        """Append an element and return it."""
        element = self.document.createElement(tag)
        update(element, **attributes)
        end = parent.lastChild if is_space(parent.lastChild) else None
        indent = parent.firstChild.data if is_space(parent.firstChild) else "\n"
        for node in (self.document.createTextNode(indent), element):
            parent.insertBefore(node, end)
        return element

    def set_attr(self, parent, name, value, **how):
        """Set an <attr> in an <attrs>: a known one keeps how it is published, a new one is told ``how``."""
        for element in children(parent, "attr"):
            if element.getAttribute("name") == name:
                return update(element, value=value)
        return self.add(parent, "attr", name=name, value=value, **how)

    def text(self):
        """The file's new content; each top-level node begins a line, since shell scripts grep for the root."""
        nodes = [node.toxml() for node in self.document.childNodes]
        return "\n".join([self.declaration] * bool(self.declaration) + nodes) + "\n"

    def write(self):
        """Write in place: owner and mode are the package's."""
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(self.text())


def parse(path, text):
    """Parse a file's text, which may have "<" in attributes: the shipped frontend.xml has <vo> for sites to replace."""
    try:
        return minidom.parseString(text.encode())
    except ExpatError as error:
        escaped = ATTRIBUTE.sub(lambda match: match.group(0).replace("<", "&lt;"), text)
        try:
            return minidom.parseString(escaped.encode())
        except ExpatError:
            raise ConfigError("{}: not well-formed XML: {}".format(path, error)) from None


def children(element, name):
    """The child elements of a name."""
    return [node for node in element.childNodes if node.nodeType == node.ELEMENT_NODE and node.tagName == name]


def is_space(node):
    """True for the white space between elements."""
    return node is not None and node.nodeType == node.TEXT_NODE and not node.data.strip()


def update(element, **attributes):
    """Set attributes; None removes one."""
    for key, value in attributes.items():
        if value is not None:
            element.setAttribute(key, value)
        elif element.hasAttribute(key):
            element.removeAttribute(key)
    return element
