// "Try it out" on every operation of a fresh `dev`, as its admin, with what the page fills in: no answer
// is a 4xx, but for what a fresh `dev` can have none of. Typed by hand is only what no page can know: the
// password, tokens, ids that an earlier answer gave, and a webhook's signature.
const { look, open } = require('./browser');
const { createHmac } = require('node:crypto');

const { URL: base, PASSWORD, WEBHOOK_SECRET } = process.env;
// What ends the sign-in that the others need.
const LAST = ['endSession', 'changePassword', 'logout'];
// Changes that a target refused too often: what is done to one finds none.
const NONE_THERE = { redriveParkedChange: 404, dropParkedChange: 404 };
const got = {};

const TYPED = {
  login: { body: () => ({ password: PASSWORD }) },
  loginByCookie: { body: () => ({ password: PASSWORD }) },
  refresh: { body: () => ({ refreshToken: got.login.json.refreshToken }) },
  changePassword: { body: () => ({ currentPassword: PASSWORD, newPassword: PASSWORD + ' anew' }) },
  endSession: { id: () => got.listSessions.json.data.find((session) => !session.current).id },
  getMerge: { id: () => got.mergeContacts.headers['merge-id'] },
  getDeadLetter: { id: () => got.listDeadLetters.json.data[0].id },
  redriveDeadLetter: { id: () => got.listDeadLetters.json.data[0].id },
  discardDeadLetter: { id: () => got.listDeadLetters.json.data[0].id },
  getRedrive: { id: () => got.redriveDeadLetter.json.id },
  stopRedrive: { id: () => got.redriveDeadLetter.json.id },
  getSimulatedWebhook: { id: () => got.simulateWebhook.json.data[0].id },
  redriveParkedChange: { id: () => '1:16' },
  dropParkedChange: { id: () => '1:16' },
  receiveWebhook: signed(),
  receiveWebhookFrom: signed(),
};

function signed() {
  let time;
  const signature = (body) => createHmac('sha256', WEBHOOK_SECRET).update(`${time}.${body}`).digest('hex');
  return {
    'X-Acme-Timestamp': () => (time = Math.floor(Date.now() / 1000).toString()),
    'X-Acme-Signature': signature,
  };
}

function inOrder(described) {
  const operations = [];
  for (const [path, item] of Object.entries(described.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      operations.push({ id: operation.operationId, tag: operation.tags[0], method, path });
    }
  }
  const tags = described.tags.map((tag) => tag.name);
  const rank = ({ id, tag }) => (LAST.includes(id) ? tags.length + LAST.indexOf(id) : tags.indexOf(tag));
  return operations.sort((one, other) => rank(one) - rank(other) || before(one, other));
}

// Among those of one area: what makes something, before what needs it, before what takes it away.
function before(one, other) {
  const turn = ({ id, method }) => {
    if (/^(login|create|simulate|list|merge)/.test(id)) return 0;
    // What is taken from a contact, before the contact is.
    if (method === 'delete') return id === 'unlinkContact' ? 3 : 4;
    return /^(redriveDeadLetter|restore)/.test(id) ? 1 : 2;
  };
  return turn(one) - turn(other);
}

async function authorize(page, token) {
  await page.locator('.scheme-container .btn.authorize').click();
  const form = page.locator('.auth-container').filter({ hasText: 'bearer' });
  const logout = form.locator('button', { hasText: 'Logout' });
  if (await logout.count()) await logout.click();
  await form.locator('input').fill(token);
  await form.locator('button.authorize').click();
  await page.locator('.btn-done').first().click();
}

async function execute(page, operation) {
  const block = page.locator(`.opblock[id$="-${operation.id}"]`);
  await block.locator('.opblock-summary-control').click();
  await block.locator('.try-out__btn').click();
  const { body, ...params } = TYPED[operation.id] || {};
  const text = block.locator('textarea.body-param__text');
  if (body) {
    await text.fill(JSON.stringify({ ...JSON.parse(await text.inputValue()), ...body() }));
  }
  const sent = (await text.count()) ? await text.inputValue() : '';
  for (const [name, value] of Object.entries(params)) {
    await block.locator(`tr[data-param-name="${name}"] input`).fill(value(sent));
  }
  const isIt = (answer) => answer.request().method() === operation.method.toUpperCase();
  const [answer] = await Promise.all([
    page.waitForResponse(isIt, { timeout: 120000 }),
    block.locator('.execute').click(),
  ]);
  const shown = block.locator('.live-responses-table tbody .response-col_status').first();
  await shown.waitFor({ timeout: 120000 });
  const bytes = await answer.text().catch(() => '');
  let json = null;
  try { json = JSON.parse(bytes); } catch { /* a stream, a page */ }
  got[operation.id] = { json, headers: answer.headers() };
  await block.locator('.opblock-summary-control').click();
  return { status: answer.status(), url: answer.url(), bytes };
}

async function signInElsewhere() {
  const body = JSON.stringify({ username: 'admin', password: PASSWORD });
  const headers = { 'Content-Type': 'application/json' };
  await fetch(base + '/api/auth/login', { method: 'POST', headers, body });
}

look(async (page, described) => {
  const operations = inOrder(described);
  page.setDefaultTimeout(120000);
  await open(page, base);
  const refused = [];
  await signInElsewhere();
  for (const operation of operations) {
    const { status, url, bytes } = await execute(page, operation);
    const none = NONE_THERE[operation.id];
    if (none ? status !== none : status >= 400) refused.push(`${operation.id}: ${status} ${url} ${bytes.slice(0, 300)}`);
    if (['login', 'changePassword'].includes(operation.id)) {
      await authorize(page, got[operation.id].json.accessToken);
    }
  }
  if (refused.length) throw new Error(refused.join('\n'));
  console.log(`${operations.length} operations tried out, none was refused`);
});
