const api = process.env.API_URL;

setInterval(async () => {
  try {
    const response = await fetch(`${api}/jobs`);
    console.log(`${api} answered ${response.status}`);
  } catch (error) {
    console.error(`${api} cannot be reached: ${error.message}`);
  }
}, 5000);
