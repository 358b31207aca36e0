"""Ways to write each key of a Compose service, and each section of a file: short and long, right and wrong."""

from __future__ import annotations

from typing import Any

FORMS: dict[str, list[Any]] = {
    "annotations": [{"a": "b"}, ["a=b", "c=d"], None, {"a": None}, "x"],
    "attach": [True, "yes", "x"],
    "blkio_config": [{"weight": 5}, {"weight": "5"}, {"device_read_bps": [{"path": "/a", "rate": "1m"}]}],
    "build": [".", {"context": ".", "args": ["A=1"]}, {"args": {"A": 1, "B": None}}, {"dockerfile_inline": "FROM x"},
              {"additional_contexts": ["a=b"]}, {"additional_contexts": {"a": "service:other"}}, {"labels": {"a": 1}},
              {"tags": ["a:b"]}, {"ulimits": {"nofile": 5}}, {"secrets": ["s"]}, {"secrets": ["none"]}, {"target": 5}, [], None],
    "cap_add": [["A"], ["A", "A"], None, "A"],
    "cgroup": ["host", "x"],
    "command": ["a b", ["a", "b"], None, [], "it's", "a (b)", "a > b", 5],
    "configs": [["c"], [{"source": "c", "target": "/t", "mode": "0440"}], ["none"], None],
    "container_name": ["foo", "f", None],
    "cpu_count": [1, "2", -1], "cpus": [1, "0.5", "x"],
    "depends_on": [["other"], {"other": {"condition": "service_healthy"}}, ["none"], {"other": {}}, None, "other",
                   {"none": {"condition": "service_started", "required": False}}, ["other", "other"], ["a"]],
    "deploy": [{"replicas": 2}, {"replicas": "3"}, {"replicas": -1}, {"resources": {"limits": {"cpus": "0.5", "memory": "1g"}}},
               {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"], "count": "all"}]}}},
               {"update_config": {"delay": "10s", "order": "start-first"}}, {"restart_policy": {"window": "x"}}, {"mode": 5}, None],
    "develop": [{"watch": [{"path": ".", "action": "sync", "target": "/a"}]}, {"watch": [{"path": ".", "action": "sync"}]}],
    "devices": [["/dev/a:/dev/b"], [{"source": "/dev/a", "target": "/dev/b"}], [{"source": "/dev/a"}], ["a:b:c:d"]],
    "dns": ["1.1.1.1", ["1.1.1.1", "1.1.1.1"], [1], None], "dns_search": ["a", ["a", "b"]],
    "entrypoint": ["a b", ["a"], None, ""],
    "env_file": ["e1", ["e1", "e2"], [{"path": "none", "required": False}], [{"path": "e1", "format": "raw"}], "none", None,
                 [{"path": "e1", "format": "x"}], [{"required": True}]],
    "environment": [["A=1", "B"], {"A": 1, "B": None, "C": True}, {"A": 1.5}, ["A=1", "A=2"], {"A": [1]}, [1], ["A =1"], None, "A=1"],
    "expose": [["80"], [80, "81/udp"], [80, "80"], [1.5], 80, None],
    "extends": ["other", {"service": "other"}, "none", {"service": "b", "file": "base.yaml"}, {"file": "base.yaml"}, None],
    "extra_hosts": [["a:1.1.1.1"], {"a": "1.1.1.1"}, {"a": ["1.1.1.1"]}, ["a=1.1.1.1"], ["a"], None],
    "gpus": ["all", [{"count": 1}], [{"count": 1, "device_ids": ["a"]}], "x"],
    "group_add": [["a"], [5, "a"], [1.5]],
    "healthcheck": [{"test": "x", "interval": "1m30s"}, {"test": ["CMD", "x"]}, {"test": ["x"]}, {"disable": True},
                    {"interval": "x"}, {"retries": "3"}, {"retries": -1}, {"start_period": "1d"}],
    "hostname": ["h", None], "image": ["y", "", None, "x:${TAG:-1}"], "init": [True, "yes", "x"],
    "ipc": ["host", "service:other", "service:none"],
    "labels": [["a=b"], {"a": "b", "c": None}, ["a"], {"a": {"b": 1}}, None], "label_file": ["e1", ["e1"], "none"],
    "links": [["other"], ["other:o"], ["none"], "other", ["a:b:c"]],
    "logging": [{"driver": "json-file"}, {"driver": "syslog", "options": {"a": 1}}, "x", None],
    "mem_limit": ["10m", 5, "x", "1.5 GiB"], "models": [["m"], {"m": {}}, ["none"]],
    "network_mode": ["host", "bridge", "service:other", "service:none", ""],
    "networks": [["n"], {"n": {"aliases": ["x"]}}, {"n": None}, ["n", "default"], ["none"], [], None, "n", {"n": {"priority": "x"}}],
    "pid": ["host", "service:other", None], "platform": ["linux/amd64"], "privileged": [True, "on", "x"],
    "profiles": [["p"], ["q", "p"], [], "p", [""]], "provider": [{"type": "x"}, {}], "pull_policy": ["always", "every_5d", "x"],
    "read_only": [True], "restart": ["always", "no", False, None], "scale": [1, 2, "3", -1],
    "secrets": [["s"], [{"source": "s", "target": "t"}], ["none"], [{"target": "t"}], None],
    "security_opt": [["a", "b"], ["a", "a"]], "shm_size": ["64m", 5, "x"], "stop_grace_period": ["10s", "1w", "x", 5],
    "storage_opt": [{"a": "b"}, {"a": [1]}], "sysctls": [["a=1"], {"a": 1}, None],
    "tmpfs": ["/a", ["/a", "/b:size=1"], ["/v"], 5], "tty": [True],
    "ulimits": [{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}}, {"nofile": {"soft": 1}}, {"nofile": "7"}, {"A": 1}],
    "user": ["a", 1000], "volumes_from": [["other:ro"], ["container:x"], ["none"]],
    "volumes": [["/v"], ["data:/v"], ["./a:/v:ro"], [{"type": "bind", "source": "./a", "target": "/v"}], ["none:/v"], ["data:/v", "./b:/v"],
                [{"type": "volume", "target": "/v"}, "/v"], [{"type": "x", "target": "/v"}], [{"type": "bind", "target": "/v"}],
                ["data::/v"], [{"type": "tmpfs", "target": "/v/", "tmpfs": {"size": "1m"}}], "data:/v", None],
    "x-more": [1, [1], {"a": "${TAG}"}], "imag": ["x"], "port": [["80:80"]],
}  # fmt: skip
"""Without `build.ssh`: what Compose prints of it as JSON is none, so that it cannot be asked."""

SECTIONS: dict[str, list[Any]] = {
    "networks": [{"n": None}, {"n": {"driver": "x"}}, {"n": {"external": True}}, {"n": {"external": {"name": "q"}}}, {"n": "x"}, [],
                 {"n": {"ipam": {"config": [{"subnet": "10.0.0.0/8"}]}}}, {"n": {"labels": ["a=b"]}}, {"n": {"internal": "x"}}],
    "volumes": [{"data": None}, {"data": {"external": True}}, {"data": {"external": True, "driver": "x"}}, {"data": {"driver_opts": {"a": 1}}}],
    "secrets": [{"s": {"file": "e1"}}, {"s": {"environment": "A"}}, {"s": {"external": True}}, {"s": {}}, {"s": None},
                {"s": {"file": "a", "environment": "b"}}],
    "configs": [{"c": {"file": "e1"}}, {"c": {"content": "x"}}, {"c": {"external": True}}, {"c": {}}],
    "models": [{"m": {"model": "x"}}, {"m": {}}], "name": ["foo", "Foo Bar", "", 5], "version": ["3", 3], "x-a": [1, None], "service": [{}],
}  # fmt: skip
RIGHT: dict[str, Any] = {key: SECTIONS[key][0] for key in ("networks", "volumes", "secrets", "configs", "models")}
"""What the services of `FORMS` use."""

FILES = {
    "e1": "A=1\n",
    "e2": "B=2\n",
    "base.yaml": {"services": {"b": {"image": "x", "ports": ["7000:7000"], "env_file": "e1"}}},
}
"""Files that they name."""
