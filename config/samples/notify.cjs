// Prints a line for each change of a contact that contactd notifies RabbitMQ of (docs/publishing.md).
//
//   npm install amqplib
//   RABBITMQ_URL=amqp://guest:guest@localhost node notify.cjs 'contact.*.acme'
//
// The queue is durable: what is said while this program is not running waits there.
const amqp = require("amqplib");

const url = process.env.RABBITMQ_URL ?? "amqp://guest:guest@localhost";
const exchange = process.env.EXCHANGE ?? "contactd";
const queue = process.env.QUEUE ?? "notifications";
const key = process.argv[2] ?? "contact.#";

// The greatest version of each contact and payment that was handled: a repeat may come, and may come late. A program that must
// remember that over its own restarts keeps it with what it does.
const handled = new Map();

function handle(event, { contact, payment, change }) {
  const subject = `${contact ? "contact" : "payment"} ${event.subject}`;
  if (event.version <= (handled.get(subject) ?? 0)) return;
  const what = contact ? contact.email ?? "-" : `${payment.amount} ${payment.currency}`;
  console.log([event.type, event.subject, `version=${event.version}`, `by=${change?.source ?? "-"}`, what].join(" "));
  handled.set(subject, event.version);
}

function read({ properties, content }) {
  const attribute = (name) => properties.headers[`cloudEvents:${name}`];
  const event = { id: properties.messageId, type: attribute("type"), subject: attribute("subject"), version: Number(attribute("subjectversion")) };
  return [event, JSON.parse(content.toString())];
}

async function consume() {
  const connection = await amqp.connect(url);
  const closed = new Promise((done) => connection.on("close", done));
  connection.on("error", (error) => console.error(error.message));
  const channel = await connection.createChannel();
  // As contactd declares it: whoever comes first makes it.
  await channel.assertExchange(exchange, "topic", { durable: true });
  await channel.assertQueue(queue, { durable: true });
  await channel.bindQueue(queue, exchange, key);
  await channel.prefetch(20);
  await channel.consume(queue, (message) => {
    if (message === null) return connection.close();
    try {
      handle(...read(message));
      channel.ack(message);
    } catch (error) {
      // Nothing of ours can be made of it, now or later.
      console.error(`${message.properties.messageId}: ${error.message}`);
      channel.nack(message, false, false);
    }
  });
  console.error(`waiting for ${key} of ${exchange}`);
  await closed;
}

async function main() {
  for (;;) {
    await consume().catch((error) => console.error(error.message));
    await new Promise((done) => setTimeout(done, 1000));
  }
}

main();
