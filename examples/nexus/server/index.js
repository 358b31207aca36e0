const http = require('node:http');
const config = require('./config');

http
  .createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ service: 'nexus-backend', path: request.url }));
  })
  .listen(config.port, () => console.log(`backend listens on ${config.port}`));
