"""Rust: what std::io::Error prints, with the crates' own words around it."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_OS = r"\(?os error (?:98|48|10048)\)?"

TABLE = (
    Pattern("zenoh", Kind.PORT_IN_USE, "unable to open listener",
        r"Unable to open listener {at}: [^\n]{0,300}(?:in use)",
        "WARN zenoh::net::runtime::orchestrator: Unable to open listener tcp/[::]:7447: Can not create a new TCP listener bound to tcp/[::]:7447: [[::]:7447: Address already in use (os error 98)]", 7447, "::", source="zenoh 1"),
    Pattern("hyper", Kind.PORT_IN_USE, "error binding to",
        r"error binding to {at}: [^\n]{0,80}Address (?:already )?in use",
        "error binding to 0.0.0.0:3030: error creating server listener: Address already in use (os error 98)", 3030, "0.0.0.0", source="warp 0.3"),
    Pattern("Rust", Kind.PERMISSION_PRIVILEGED, "kind: permissiondenied",
        r"code: 13, kind: PermissionDenied",
        'Error: Os { code: 13, kind: PermissionDenied, message: "Permission denied" }', source="std 1.70", near="bind"),
    Pattern("Rust", Kind.ADDRESS_NOT_AVAILABLE, "addrnotavailable",
        r"kind: AddrNotAvailable",
        'thread \'main\' panicked at src/main.rs:12:10: Os { code: 99, kind: AddrNotAvailable, message: "Cannot assign requested address" }', source="std 1.70"),
    Pattern("Rust", Kind.PORT_IN_USE, "addrinuse",
        r"kind: AddrInUse|\bAddrInUse\b",
        'thread \'main\' panicked at src/main.rs:2:80: called `Result::unwrap()` on an `Err` value: Os { code: 98, kind: AddrInUse, message: "Address already in use" }', source="std 1.70"),
    Pattern("Rust", Kind.CONNECTION_REFUSED, "connectionrefused",
        r"kind: ConnectionRefused",
        'Error: reqwest::Error { kind: Request, url: Url { scheme: "http", host: Some(Domain("localhost")), port: Some(8080), path: "/" }, source: hyper::Error(Connect, ConnectError("tcp connect error", Os { code: 111, kind: ConnectionRefused, message: "Connection refused" })) }', 8080, source="reqwest 0.11"),
)  # fmt: skip
