// What the tests of the page at `/` have in common: browsers of several sizes, signing in, looking for what
// is wrong, faults put into answers, and pictures.
const { readFileSync, mkdirSync } = require('node:fs');
const { join } = require('node:path');
const { chromium } = require('playwright-core');

const { URL: base, PASSWORD, PICTURES } = process.env;
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
exports.base = base;
exports.WAIT_MS = 30000;

exports.launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

// A tab, and all that goes wrong in it. Answers that a test asks for by way of a fault are no problem.
exports.tab = async (browser, { width = 1440, height = 900, scheme = 'light', bypassCSP = false } = {}) => {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, bypassCSP, reducedMotion: 'reduce' });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: base });
  const page = await context.newPage();
  page.setDefaultTimeout(exports.WAIT_MS);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error.stack || error)));
  page.on('dialog', (dialog) => { problems.push('a script opened a dialog: ' + dialog.message()); dialog.dismiss(); });
  page.on('console', (line) => {
    const text = line.text();
    if (line.type() === 'error' && !/status of \d{3}|ERR_INTERNET_DISCONNECTED|ERR_FAILED/.test(text)) problems.push(text);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base + '/') && !url.startsWith('blob:' + base)) problems.push('asks ' + url);
  });
  page.problems = problems;
  page.go = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
  return page;
};

exports.signIn = async (page, user = 'admin', password = PASSWORD) => {
  await page.goto(base + '/');
  await page.fill('#u', user);
  await page.fill('#p', password);
  await page.click('#sign button[type=submit]');
  await page.waitForSelector('#frame:not([hidden])');
};

exports.check = (is, text) => {
  if (!is) throw new Error(text);
};

exports.text = async (page, selector) => (await page.locator(selector).first().innerText()).trim();

// Waits until the text of an element is as it should be.
exports.says = (page, selector, pattern) =>
  page.waitForFunction(([at, source]) => [...document.querySelectorAll(at)].some((node) => new RegExp(source, 'su').test(node.textContent)),
    [selector, pattern.source], { timeout: exports.WAIT_MS }).catch(async () => {
    const is = await page.locator(selector).allInnerTexts();
    throw new Error(`${selector} does not say ${pattern}: ${JSON.stringify(is).slice(0, 600)}`);
  });

// Nothing that a person with a screen reader, a small screen or sharp eyes would trip over.
exports.sound = async (page, name) => {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE);
  const found = await page.evaluate(async (tags) => {
    const { violations } = await window.axe.run(document, { runOnly: tags });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((it) => it.target.join(' ')).join(', ')}`);
  }, TAGS);
  if (found.length) throw new Error(`${name}: ${found.join('; ')}`);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (sideways > 0) throw new Error(`${name} scrolls ${sideways} px sideways`);
};

exports.picture = async (page, name) => {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
};

// Answers of a path are what a test says, until it is taken back.
exports.fault = async (page, path, act) => {
  const pattern = (url) => path.test(url.pathname + url.search);
  await page.route(pattern, act);
  return () => page.unroute(pattern, act);
};
exports.refusal = (status, code, message, headers = {}) => (route) => route.fulfill({
  status, headers: { 'x-request-id': '01a2272c-e883-7cba', ...headers }, contentType: 'application/json',
  body: JSON.stringify({ error: { message, type: 'X', status, timestamp: new Date().toISOString(), code, details: {} } }),
});

let token = null;
const signedIn = async () => {
  const login = await fetch(base + '/api/auth/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'admin', password: PASSWORD }) });
  return (await login.json()).accessToken;
};

// The API, as another client has it, signed in once.
exports.api = async (method, path, body, type = 'application/json') => {
  token ??= await signedIn();
  const headers = { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': type } : {}) };
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  // A test ends other sign-ins, this one too.
  if (answer.status === 401) token = null;
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
};
