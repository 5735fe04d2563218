// An order backend that forgets: takes so many turns, acknowledges them, and says nothing about any. Prints their entries.

import { connect } from 'amqplib';

const [url, count] = process.argv.slice(2);
const connection = await connect(url);
const channel = await connection.createChannel();
await channel.prefetch(1);
const patience = setTimeout(() => {
  console.error('no turn came');
  process.exit(1);
}, 30_000);
await new Promise((done) => {
  let taken = 0;
  channel.consume('sluice.turns', (message) => {
    // The one after the last is on its way already: it goes back with the connection.
    if (taken === Number(count)) return;
    console.log(JSON.parse(message.content.toString()).data.entry);
    channel.ack(message);
    taken += 1;
    if (taken === Number(count)) done();
  });
});
clearTimeout(patience);
await channel.close();
await connection.close();
