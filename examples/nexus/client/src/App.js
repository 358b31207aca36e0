import { useEffect, useState } from 'react';

const api = process.env.REACT_APP_API_URL;

export default function App() {
  const [answer, setAnswer] = useState('waiting for the backend');

  useEffect(() => {
    fetch(`${api}/status`)
      .then((response) => response.json())
      .then((body) => setAnswer(body.service))
      .catch((error) => setAnswer(`${api}: ${error.message}`));
  }, []);

  return <p>{answer}</p>;
}
