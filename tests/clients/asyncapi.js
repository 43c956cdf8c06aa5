// The AsyncAPI document, by the parser of those who write the specification. Nothing but a newer
// version of the specification may be said of it. (It does not look at examples: our own tests do.)
const { Parser } = require('@asyncapi/parser');
const fs = require('fs');

(async () => {
  const text = fs.readFileSync(process.argv[2], 'utf8');
  const { document, diagnostics } = await new Parser().parse(text);
  const left = diagnostics.filter((one) => one.code !== 'asyncapi-latest-version');
  for (const one of left) console.error(`${one.path.join('.')}: ${one.message} (${one.code})`);
  if (!document || left.length > 0) process.exit(1);
  const examples = document.allMessages().all().flatMap((message) => message.examples().all());
  // What is wrong must be noticed, or the above says little.
  for (const spoil of [
    (it) => { it.components.messages.contactEvent.payload.$ref = '#/components/schemas/none'; },
    (it) => { it.operations.receiveWebhooks.action = 'take'; },
    (it) => { it.components.schemas.contact.type = 'nothing'; },
  ]) {
    const spoiled = JSON.parse(text);
    spoil(spoiled);
    const again = await new Parser().parse(JSON.stringify(spoiled));
    if (!again.diagnostics.some((one) => one.severity === 0)) {
      console.error(`not noticed: ${spoil}`);
      process.exit(1);
    }
  }
  console.log(`${document.allChannels().length} channels, ${document.allOperations().length} operations, ` +
    `${document.allMessages().length} messages, ${examples.length} examples`);
})();
