// A headless browser and what /openapi.json says, for a program that looks at the page /docs.
const { chromium } = require('playwright-core');

// Ends the process with 1 where `look` fails.
exports.look = (look) => (async () => {
  const base = process.env.URL;
  const described = await (await fetch(base + '/openapi.json')).json();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    await look(await browser.newPage(), described, base);
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

// The page, with every operation drawn.
exports.open = async (page, base) => {
  await page.goto(base + '/docs');
  await page.waitForSelector('.opblock', { timeout: 60000 });
};
