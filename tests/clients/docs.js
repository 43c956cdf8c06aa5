// The page /docs in a headless browser: it draws every operation, sends one, asks no other server,
// and its policy forbids nothing that it needs.
const { look, open } = require('./browser');

look(async (page, described, base) => {
  const count = Object.values(described.paths).flatMap((path) => Object.keys(path)).length;
  const problems = [];
  page.on('console', (line) => {
    if (['error', 'warning'].includes(line.type())) problems.push(line.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base + '/') && !url.startsWith('data:')) problems.push('asks ' + url);
  });
  await open(page, base);
  const drawn = await page.locator('.opblock').count();
  if (drawn !== count) problems.push(`${drawn} of ${count} operations are drawn`);
  const operation = page.locator('#operations-Operation-isLive');
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.try-out__btn').click();
  await operation.locator('.execute').click();
  const answer = operation.locator('.live-responses-table tbody .response-col_status');
  await answer.first().waitFor({ timeout: 30000 });
  const status = (await answer.first().innerText()).trim();
  if (!status.startsWith('200')) problems.push('answered ' + status);
  if (problems.length) throw new Error(problems.join('\n'));
  console.log(`${drawn} operations drawn, one sent, no other server asked`);
});
