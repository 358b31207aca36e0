"""The JVM: Spring, Tomcat, Jetty, Netty, Spark, Kafka and what is built on them."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_USE = Kind.PORT_IN_USE

TABLE = (
    Pattern("Spring Boot", _USE, "was already in use", r"Port {port} was already in use", "Web server failed to start. Port 8080 was already in use.", 8080, source="Spring Boot 2.7"),
    Pattern("Spring Boot", _USE, "connector configured to listen", r"connector configured to listen on port {port} failed to start", "The Tomcat connector configured to listen on port 8080 failed to start. The port may already be in use or the connector may be misconfigured.", 8080, source="Spring Boot 2.0"),
    Pattern("Tomcat", _USE, "several ports", r"(?:Several ports \(|, ){port}(?=[\d, ]{0,60}\) required by [^\n]{0,60}? at (?P<host>[\w.-]{1,60}))", "Several ports (8005, 8080) required by Tomcat v9.0 Server at localhost are already in use.", 8005, "localhost", source="Eclipse"),
    Pattern("Tomcat", _USE, "required by", r"Port {port} required by [^\n]{0,60}? at {host} is already in use", "Port 8080 required by Tomcat v8.5 Server at localhost is already in use. The server may already be running in another process, or a system process may be using the port.", 8080, "localhost", source="Eclipse"),
    Pattern("Tomcat", _USE, "connector", r"Failed to (?:initialize|start) (?:component|connector|end point)[^\n]{0,80}?(?:http|https|ajp|HTTP/1\.1)[\w.\"\[-]{0,20}?-{port}\"?\]", 'org.apache.catalina.LifecycleException: Failed to initialize component [Connector["http-nio-8080"]]', 8080, source="Tomcat 9"),
    Pattern("Tomcat", _USE, "standardserver.await", r"StandardServer\.await: create\[{at}\]", "SEVERE: StandardServer.await: create[localhost:8005]: ", 8005, "localhost", source="Tomcat 7"),
    Pattern("Quarkus", Kind.PERMISSION_PRIVILEGED, "already bound", r"Port\(s\) already bound: {port}: Permission denied", "io.quarkus.runtime.QuarkusBindException: Port(s) already bound: 80: Permission denied", 80, source="Quarkus 3"),
    Pattern("Quarkus", _USE, "already bound", r"Port\(s\) already bound: {port}", "io.quarkus.runtime.QuarkusBindException: Port(s) already bound: 8081: Address already in use", 8081, source="Quarkus 3"),
    Pattern("Quarkus", _USE, "seems to be in use", r"Port {port} seems to be in use", "Port 8080 seems to be in use by another process. Quarkus may already be running or the port is used by another application.", 8080, source="Quarkus 2"),
    Pattern("Micronaut", _USE, "unable to start micronaut server", r"Unable to start Micronaut server on (?:port: {port}|[\w.*]{1,40}:\d)", "Error starting Micronaut server: Unable to start Micronaut server on port: 8080", 8080, source="Micronaut 3"),
    Pattern("Kafka", _USE, "socket server failed to bind", r"Socket server failed to bind to {at}: Address already in use", "org.apache.kafka.common.KafkaException: Socket server failed to bind to 0.0.0.0:9092: Address already in use.", 9092, "0.0.0.0", source="Kafka 3"),
    Pattern("Kafka", Kind.ADDRESS_NOT_AVAILABLE, "socket server failed to bind", r"Socket server failed to bind to {at}: (?:Cannot assign|Can't assign|Unresolved)", "org.apache.kafka.common.KafkaException: Socket server failed to bind to 10.0.0.9:9092: Cannot assign requested address.", 9092, "10.0.0.9", source="Kafka 3"),
    Pattern("Kafka client", Kind.CONNECTION_REFUSED, "could not be established", r"Connection to node -?\d+ \((?P<host>[\w.-]{1,80})/[\d.:a-f]{0,45}?:{port}\) could not be established", "WARN [Producer clientId=p1] Connection to node -1 (localhost/127.0.0.1:9092) could not be established. Broker may not be available.", 9092, "localhost", source="Kafka 3"),
    Pattern("ZooKeeper", _USE, "problem starting adminserver", r"Problem starting AdminServer on address {host}, port {port}", "AdminServerException: Problem starting AdminServer on address 0.0.0.0, port 8080 and command URL /commands", 8080, "0.0.0.0", source="ZooKeeper 3.5"),
    Pattern("Elasticsearch", Kind.RANGE_EXHAUSTED, "failed to bind to", r"Bind(?:Http|Transport)Exception(?:\[|: )Failed to bind to \[?{port}-\d", "BindTransportException[Failed to bind to [9300-9400]]; nested: BindException[Address already in use]", 9300, source="Elasticsearch 2"),
    Pattern("Elasticsearch", _USE, "failed to bind to", r"Bind(?:Http|Transport)Exception(?:\[|: )Failed to bind to \[?(?:{at})", "Caused by: org.elasticsearch.http.BindHttpException: Failed to bind to 0.0.0.0:9200", 9200, "0.0.0.0", source="Elasticsearch 7"),
    Pattern("Jetty", _USE, "failed to bind to", r"(?:IOException|BindException): Failed to bind to (?:address (?!\w{2,8}://)|(?!address))(?:[\w.-]{0,60}/)?{at}", "Caused by: java.io.IOException: Failed to bind to 0.0.0.0/0.0.0.0:8080", 8080, "0.0.0.0", source="Jetty 9"),
    Pattern("Spark", _USE, "could not bind on port", r"could not bind on port (?!0\b){port}", "WARN Utils: Service 'SparkUI' could not bind on port 4040. Attempting port 4041.", 4040, source="Spark 3"),
    Pattern("Minecraft", _USE, "failed to bind to port", r"FAILED TO BIND TO PORT!", "[22:40:52] [Server thread/WARN]: **** FAILED TO BIND TO PORT!", usual=25565, port=25565, source="Minecraft 1.20"),
    Pattern("Cassandra", _USE, "is in use by another process", r"Address {at} is in use by another process", "Address localhost/127.0.0.1:7000 is in use by another process.  Change listen_address:storage_port in cassandra.yaml to values that do not conflict with other services", 7000, "127.0.0.1", source="Cassandra 3"),
    Pattern("Netty", _USE, "eaddrinuse", r"bind\(\.\.\) failed: (?:Address already in use|EADDRINUSE)", "io.netty.channel.unix.Errors$NativeIoException: bind(..) failed: EADDRINUSE", source="Netty 4"),
    Pattern("PostgreSQL JDBC", Kind.CONNECTION_REFUSED, "refused. check that the hostname", r"Connection to {at} refused\. Check", "org.postgresql.util.PSQLException: Connection to localhost:5432 refused. Check that the hostname and port are correct and that the postmaster is accepting TCP/IP connections.", 5432, "localhost", source="pgjdbc 42"),
    Pattern("Java HttpClient", Kind.CONNECTION_REFUSED, "failed:", r"Connect to {at} (?:\[[^\]]{0,200}\] )?failed: Connection refused", "org.apache.http.conn.HttpHostConnectException: Connect to localhost:8080 [localhost/127.0.0.1, localhost/0:0:0:0:0:0:0:1] failed: Connection refused", 8080, "localhost", source="httpclient 4.5"),
    Pattern("Android adb", Kind.CONNECTION_REFUSED, "cannot connect to daemon", r"cannot connect to daemon at tcp:{port}", "adb: failed to check server version: cannot connect to daemon at tcp:5037: Connection refused", 5037, source="adb 34"),
    Pattern("Android adb", _USE, "smartsocket", r"could not install \*smartsocket\* listener: (?:Address already in use|cannot bind)", "could not install *smartsocket* listener: Address already in use", usual=5037, port=5037, source="adb 1.0.41"),
    Pattern("Testcontainers", Kind.CONNECTION_REFUSED, "timed out waiting for container port", r"Timed out waiting for container port to open \({host} ports: \[{port}", "org.testcontainers.containers.ContainerLaunchException: Timed out waiting for container port to open (localhost ports: [32771] should be listening)", 32771, "localhost", source="Testcontainers 1.19"),
)  # fmt: skip
