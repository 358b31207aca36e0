// The host's side: used on bare metal. In its container the backend is given PORT by docker-compose.yml.
module.exports = {
  port: process.env.PORT || 5000,
  mongoUrl: process.env.MONGO_URL || 'mongodb://localhost:27017/nexus',
  redisUrl: process.env.REDIS_URL || 'redis://localhost:6379',
  ollamaUrl: process.env.OLLAMA_URL || 'http://localhost:11434',
};
