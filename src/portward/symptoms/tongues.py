"""What systems print in other languages than English, where the text has no number that would tell more."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("system", Kind.PORT_IN_USE, 'nur jeweils einmal verwendet werden', r"nur jeweils einmal verwendet werden", 'listen tcp :8080: bind: Normalerweise darf jede Socketadresse (Protokoll, Netzwerkadresse oder Anschluss) nur jeweils einmal verwendet werden.', 8080, None, source='Windows, German'),
    Pattern("system", Kind.PORT_IN_USE, 'seule utilisation de chaque adresse de socket', r"seule utilisation de chaque adresse de socket", 'bind: Une seule utilisation de chaque adresse de socket (protocole/adresse réseau/port) est habituellement autorisée. 0.0.0.0:8080', 8080, '0.0.0.0', source='Windows, French'),
    Pattern("system", Kind.PORT_IN_USE, 'un uso de cada direcci', r"un uso de cada direcci", 'listen tcp :8080: bind: Solo se permite un uso de cada dirección de socket (protocolo/dirección de red/puerto)', 8080, None, source='Windows, Spanish'),
    Pattern("system", Kind.PORT_IN_USE, 'permitida apenas uma utiliza', r"permitida apenas uma utiliza", 'listen tcp :8080: bind: Normalmente é permitida apenas uma utilização de cada endereço de soquete (protocolo/endereço de rede/porta).', 8080, None, source='Windows, Portuguese'),
    Pattern("system", Kind.PORT_IN_USE, '只允许使用一次', r"只允许使用一次", 'listen tcp :8080: bind: 通常每个套接字地址(协议/网络地址/端口)只允许使用一次。', 8080, None, source='Windows, Chinese'),
    Pattern("system", Kind.PORT_IN_USE, 'yuva adresinin', r"yuva adresinin", 'listen tcp :8080: bind: Her yuva adresinin (iletişim kuralı/ağ adresi/bağlantı noktası) yalnızca tek kullanımına izin verilir.', 8080, None, source='Windows, Turkish'),
    Pattern("system", Kind.PORT_IN_USE, 'использование адреса сокета', r"использование адреса сокета", 'listen tcp :8080: bind: Обычно разрешается только одно использование адреса сокета (протокол/сетевой адрес/порт).', 8080, None, source='Windows, Russian'),
    Pattern("system", Kind.PORT_IN_USE, 'adresse wird bereits verwendet', r"adresse wird bereits verwendet", 'nginx: [emerg] bind() to 0.0.0.0:8080: Die Adresse wird bereits verwendet', 8080, '0.0.0.0', source='glibc, German'),
    Pattern("system", Kind.PORT_IN_USE, 'adresse déjà utilisée', r"adresse déjà utilisée", 'bind 0.0.0.0:8080: Adresse déjà utilisée', 8080, '0.0.0.0', source='glibc, French'),
    Pattern("system", Kind.PORT_IN_USE, 'la dirección ya se está usando', r"la dirección ya se está usando", 'bind 0.0.0.0:8080: La dirección ya se está usando', 8080, '0.0.0.0', source='glibc, Spanish'),
    Pattern("system", Kind.PORT_IN_USE, 'endereço já em uso', r"endereço já em uso", 'bind 0.0.0.0:8080: Endereço já em uso', 8080, '0.0.0.0', source='glibc, Portuguese'),
    Pattern("system", Kind.PORT_IN_USE, 'indirizzo già in uso', r"indirizzo già in uso", 'bind 0.0.0.0:8080: Indirizzo già in uso', 8080, '0.0.0.0', source='glibc, Italian'),
    Pattern("system", Kind.PORT_IN_USE, '地址已在使用', r"地址已在使用", 'bind 0.0.0.0:8080: 地址已在使用', 8080, '0.0.0.0', source='glibc, Chinese'),
    Pattern("system", Kind.PORT_IN_USE, 'アドレスは既に使用中です', r"アドレスは既に使用中です", 'bind 0.0.0.0:8080: アドレスは既に使用中です', 8080, '0.0.0.0', source='glibc, Japanese'),
    Pattern("system", Kind.PORT_IN_USE, 'адрес уже используется', r"адрес уже используется", 'bind 0.0.0.0:8080: Адрес уже используется', 8080, '0.0.0.0', source='glibc, Russian'),
    Pattern("system", Kind.OS_RESERVED_RANGE, 'zugriffsrechte des sockets', r"zugriffsrechte des sockets", 'listen tcp 0.0.0.0:50001: bind: Der Zugriff auf einen Socket war aufgrund der Zugriffsrechte des Sockets unzulässig.', 50001, '0.0.0.0', source='Windows, German'),
    Pattern("system", Kind.OS_RESERVED_RANGE, 'interdite par ses autorisations', r"interdite par ses autorisations", 'listen tcp 0.0.0.0:50001: bind: Une tentative d’accès à un socket de manière interdite par ses autorisations d’accès a été tentée.', 50001, '0.0.0.0', source='Windows, French'),
    Pattern("system", Kind.OS_RESERVED_RANGE, 'socket no permitido por sus permisos', r"socket no permitido por sus permisos", 'listen tcp 0.0.0.0:50001: bind: Intento de acceso a un socket no permitido por sus permisos de acceso.', 50001, '0.0.0.0', source='Windows, Spanish'),
    Pattern("system", Kind.OS_RESERVED_RANGE, 'proibida pelas permiss', r"proibida pelas permiss", 'listen tcp 0.0.0.0:50001: bind: Foi feita uma tentativa de acesso a um soquete de uma maneira que é proibida pelas permissões de acesso.', 50001, '0.0.0.0', source='Windows, Portuguese'),
    Pattern("system", Kind.OS_RESERVED_RANGE, '访问套接字的尝试', r"访问套接字的尝试", 'listen tcp 0.0.0.0:50001: bind: 以一种访问权限不允许的方式做了一个访问套接字的尝试。', 50001, '0.0.0.0', source='Windows, Chinese'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'zielcomputer die verbindung verweigerte', r"zielcomputer die verbindung verweigerte", 'dial tcp 127.0.0.1:8081: connectex: Es konnte keine Verbindung hergestellt werden, da der Zielcomputer die Verbindung verweigerte.', 8081, '127.0.0.1', source='Windows, German'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'expressément refusée', r"expressément refusée", 'dial tcp 127.0.0.1:8081: connectex: Aucune connexion n’a pu être établie car l’ordinateur cible l’a expressément refusée.', 8081, '127.0.0.1', source='Windows, French'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'denegó expresamente', r"denegó expresamente", 'dial tcp 127.0.0.1:8081: connectex: No se puede establecer una conexión ya que el equipo de destino denegó expresamente dicha conexión.', 8081, '127.0.0.1', source='Windows, Spanish'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'recusou ativamente', r"recusou ativamente", 'dial tcp 127.0.0.1:8081: connectex: Nenhuma conexão pôde ser feita porque a máquina de destino as recusou ativamente.', 8081, '127.0.0.1', source='Windows, Portuguese'),
    Pattern("system", Kind.CONNECTION_REFUSED, '目标计算机积极拒绝', r"目标计算机积极拒绝", 'dial tcp 127.0.0.1:8081: connectex: 由于目标计算机积极拒绝，无法连接。', 8081, '127.0.0.1', source='Windows, Chinese'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'verbindungsaufbau abgelehnt', r"verbindungsaufbau abgelehnt", 'connect to 127.0.0.1 port 8081: Verbindungsaufbau abgelehnt', 8081, '127.0.0.1', source='glibc, German'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'connexion refusée', r"connexion refusée", 'connect to 127.0.0.1 port 8081: Connexion refusée', 8081, '127.0.0.1', source='glibc, French'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'conexión rehusada', r"conexión rehusada", 'connect to 127.0.0.1 port 8081: Conexión rehusada', 8081, '127.0.0.1', source='glibc, Spanish'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'conexão recusada', r"conexão recusada", 'connect to 127.0.0.1 port 8081: Conexão recusada', 8081, '127.0.0.1', source='glibc, Portuguese'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'connessione rifiutata', r"connessione rifiutata", 'connect to 127.0.0.1 port 8081: Connessione rifiutata', 8081, '127.0.0.1', source='glibc, Italian'),
    Pattern("system", Kind.CONNECTION_REFUSED, '拒绝连接', r"拒绝连接", 'connect to 127.0.0.1 port 8081: 拒绝连接', 8081, '127.0.0.1', source='glibc, Chinese'),
    Pattern("system", Kind.CONNECTION_REFUSED, '接続を拒否されました', r"接続を拒否されました", 'connect to 127.0.0.1 port 8081: 接続を拒否されました', 8081, '127.0.0.1', source='glibc, Japanese'),
    Pattern("system", Kind.CONNECTION_REFUSED, 'в соединении отказано', r"в соединении отказано", 'connect to 127.0.0.1 port 8081: В соединении отказано', 8081, '127.0.0.1', source='glibc, Russian'),
)  # fmt: skip
