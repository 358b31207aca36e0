"""Browsers, and what drives them."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("Chromium", Kind.UNSAFE_BROWSER_PORT, "err_unsafe_port", r"\bERR_UNSAFE_PORT\b", "net::ERR_UNSAFE_PORT at http://localhost:6000/", 6000, "localhost", source="Chrome 110"),
    Pattern("Firefox", Kind.UNSAFE_BROWSER_PORT, "restricted", r"This address is restricted|NS_ERROR_PORT_ACCESS_NOT_ALLOWED", "This address is restricted", source="Firefox 110"),
    Pattern("Firefox", Kind.UNSAFE_BROWSER_PORT, "port_access_not_allowed", r"NS_ERROR_PORT_ACCESS_NOT_ALLOWED", "NS_ERROR_PORT_ACCESS_NOT_ALLOWED", source="Firefox 110"),
    Pattern("Firefox", Kind.UNSAFE_BROWSER_PORT, "network port which is normally used", r"uses a network port which is normally used for purposes other than Web browsing", "This address uses a network port which is normally used for purposes other than Web browsing.", source="Firefox 110"),
    Pattern("Safari", Kind.UNSAFE_BROWSER_PORT, "restricted network port", r"Not allowed to use restricted network port", "Not allowed to use restricted network port: http://localhost:6000/", 6000, "localhost", source="Safari 16"),
    Pattern("Chromium", Kind.CONNECTION_REFUSED, "err_connection_refused", r"\bERR_CONNECTION_REFUSED\b", "page.goto: net::ERR_CONNECTION_REFUSED at http://localhost:3000/", 3000, "localhost", source="playwright 1.40"),
    Pattern("Chromium", Kind.RESET_OR_EMPTY_REPLY, "err_empty_response", r"\bERR_EMPTY_RESPONSE\b", "GET http://localhost:8080/ net::ERR_EMPTY_RESPONSE", 8080, "localhost", source="Chrome 110"),
    Pattern("Chromium", Kind.RESET_OR_EMPTY_REPLY, "err_connection_reset", r"\bERR_CONNECTION_RESET\b", "GET http://localhost:8080/ net::ERR_CONNECTION_RESET", 8080, "localhost", source="Chrome 110"),
    Pattern("Chromium", Kind.TIMEOUT_FIREWALL, "err_", r"\bERR_(?:CONNECTION_TIMED_OUT|ADDRESS_UNREACHABLE)\b", "GET http://10.0.0.5:8080/ net::ERR_CONNECTION_TIMED_OUT", 8080, "10.0.0.5", source="Chrome 110"),
    Pattern("Firefox", Kind.CONNECTION_REFUSED, "ns_error_connection_refused", r"NS_ERROR_CONNECTION_REFUSED", "page.goto: NS_ERROR_CONNECTION_REFUSED at http://localhost:3000/", 3000, "localhost", source="playwright 1.40"),
    Pattern("Firefox", Kind.CONNECTION_REFUSED, "can", r"can.t establish a connection to the server at {at}", "Firefox can’t establish a connection to the server at localhost:3000.", 3000, "localhost", source="Firefox 110"),
    Pattern("WebKit", Kind.CONNECTION_REFUSED, "could not connect", r"Could not connect to the server\.?$|Could not connect to {host}: Connection refused", "Could not connect to localhost: Connection refused", None, "localhost", source="playwright WebKit"),
    Pattern("Chromium", Kind.RESET_OR_EMPTY_REPLY, "send any data", r"(?P<host>localhost|[\w-]{1,60}(?:\.[\w-]{1,60}){1,6}) didn.t send any data", "localhost didn’t send any data.", None, "localhost", source="Chrome 110"),
    Pattern("Firefox", Kind.RESET_OR_EMPTY_REPLY, "reset while the page was loading", r"connection to the server was reset while the page was loading", "The connection to the server was reset while the page was loading.", source="Firefox 110"),
    Pattern("Safari", Kind.RESET_OR_EMPTY_REPLY, "unexpectedly dropped the connection", r"server unexpectedly dropped the connection", "Safari can’t open the page because the server unexpectedly dropped the connection.", source="Safari 16"),
)  # fmt: skip
