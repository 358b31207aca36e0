"""Development servers and test runners of JavaScript, by their own words."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_USE = Kind.PORT_IN_USE

TABLE = (
    Pattern("Next.js", Kind.UNSAFE_BROWSER_PORT, "bad port:", r"Bad port: ['\"]?{port}['\"]? is reserved", 'Bad port: "6000" is reserved for x11', 6000, source="next 14"),
    Pattern("Next.js", _USE, "in use", r"Port {port} is in use(?: by (?:an? )?(?:unknown )?process(?: \d+)?)?, (?:trying|using)", "⚠ Port 3000 is in use by process 4242, using available port 3001 instead.", 3000, source="next 15"),
    Pattern("Create React App", _USE, "already running", r"Something is already running (?:on|at) port {port}", "Something is already running on port 3000.", 3000, source="react-scripts 5"),
    Pattern("Firebase emulators", _USE, "is not open", r"Port {port} is not open on {host}", "⚠  firestore: Port 8080 is not open on localhost, could not start Firestore Emulator.", 8080, "localhost", source="firebase-tools"),
    Pattern("Firebase emulators", _USE, "port taken", r"could not start [\w ]{3,40}, port taken", "Error: Could not start Hosting Emulator, port taken.", source="firebase-tools"),
    Pattern("Playwright", _USE, "is already used", r"{at} is already used, make sure", "Error: http://localhost:3000 is already used, make sure that nothing is running on the port/url or set reuseExistingServer:true in config.webServer.", 3000, "localhost", source="playwright 1.40"),
    Pattern("Cypress", _USE, "currently in use", r"port is currently in use:?\s{0,3}{port}", "Can't run project because port is currently in use: 8080", 8080, source="cypress 12"),
    Pattern("Bun", _USE, "is port", r"Is port {port} in use\?", 'error: Failed to start server. Is port 3000 in use?', 3000, source="bun 1.1"),
    Pattern("Wrangler", _USE, "address already in use (", r"Address already in use \({at}\)", "✘ [ERROR] Address already in use (127.0.0.1:8787). Please check that you are not already running a server on this address or specify a different port with `--port`.", 8787, "127.0.0.1", source="wrangler 3"),
    Pattern("Netlify", _USE, "could not acquire required", r"Could not acquire required ['\"](?:targetP|p)ort['\"]: ['\"]?{port}", "Could not acquire required 'port': 8888", 8888, source="netlify-cli"),
    Pattern("system", _USE, "is already used by", r"port {port} is already used by", "The port 1337 is already used by another application.", 1337, source="strapi 4"),
    Pattern("Meteor", _USE, "can't listen on port", r"Can't listen on port {port}", "Can't listen on port 3000. Perhaps another Meteor is running?", 3000, source="meteor 2", soft=True),
    Pattern("Hexo", _USE, "has been used", r"Port {port} has been used", "FATAL Port 4000 has been used. Try other port instead.", 4000, source="hexo 6"),
    Pattern("system", _USE, "is already in use. trying", r"(?<![\w.]){port} is already in use\. Trying", "8080 is already in use. Trying another port.", 8080, source="live-server 1.2"),
    Pattern("json-server", _USE, "cannot bind to the port", r"Cannot bind to the port {port}", "Cannot bind to the port 3000. Please specify another port number either through --port argument or through the json-server.json configuration file", 3000, source="json-server 0.17", soft=True),
    Pattern("system", _USE, "unable to find", r"Unable to find an? (?:available|random) port \(tried {port}(?!-)[^)]{0,20} on host ['\"]?{host}", 'GetPortError: Unable to find an available port (tried 3000 on host "localhost")', 3000, "localhost", source="get-port-please"),
    Pattern("system", Kind.RANGE_EXHAUSTED, "unable to find", r"Unable to find an? (?:available|random) port \(tried {port}-\d", 'GetPortError: Unable to find an available port (tried 3000-3100 on host "0.0.0.0")', 3000, source="get-port-please"),
    Pattern("system", Kind.RANGE_EXHAUSTED, "no", r"No (?:available|open|free) ports?(?: (?:were |was )?(?:found|available))?\b[^\n]{0,30}?\b(?:in|between|range)\b[^\n]{0,20}?{port}(?:\s?(?:-|to|and|\.\.)\s?\d{1,5})", "Error: No open ports found in between 8000 and 8010", 8000, source="portfinder"),
    Pattern("system", Kind.RANGE_EXHAUSTED, "no", r"\bNo (?:available|open|free) ports? (?:were |was )?found|no available port could be found|failed to find (?:an? )?(?:free|open|available) port", "Error: No available ports found", source="a fallback loop"),
    Pattern("system", _USE, "is not available", r"Port {port} is not available", "✔ Port 6006 is not available. Would you like to run Storybook on port 6007 instead? … no", 6006, source="storybook 7"),
    Pattern("Parcel", _USE, "could not be used", r"port {port} could not be used", "🚨  Configured port 1234 could not be used.", 1234, source="parcel 1"),
    Pattern("system", _USE, "port", r"Port {port} is (?:running|being used by)", "› Port 8081 is being used by another process", 8081, source="expo 49"),
    Pattern("ChromeDriver", _USE, "ipv4 port not available", r"IPv4 port not available", "IPv4 port not available. Exiting...", usual=9515, port=9515, source="chromedriver 110"),
    Pattern("system", Kind.CONNECTION_REFUSED, "could not proxy request", r"Could not proxy request \S{1,200} from \S{1,100} to {at}", "Proxy error: Could not proxy request /api/users from localhost:3000 to http://localhost:5000/.", 5000, "localhost", source="react-scripts 5"),
    Pattern("system", Kind.CONNECTION_REFUSED, "proxy", r"Error occurred while (?:trying to )?proxy(?:ing)?(?: request)?:? \S{1,200}(?: from \S{1,100})? to {at}[^\n]{0,40}ECONNREFUSED", "[HPM] Error occurred while proxying request localhost:3000/api to http://localhost:5001/ [ECONNREFUSED] (https://nodejs.org/api/errors.html#errors_common_system_errors)", 5001, "localhost", source="http-proxy-middleware 2"),
    Pattern("Cypress", Kind.CONNECTION_REFUSED, "could not verify that this server is running", r"could not verify that this server is running", "Cypress could not verify that this server is running:", source="cypress 12"),
    Pattern("wait-on", Kind.CONNECTION_REFUSED, "timed out waiting for", r"Timed out waiting (?:\d+ms )?(?:for: |from )(?:resource: )?(?:config\.webServer|{at})", "Error: Timed out waiting for: http://localhost:3000", 3000, "localhost", source="wait-on 6"),
)  # fmt: skip
