// The page at `/` in a headless browser: every screen through its main journey, by mouse and by keys, with
// conflicts, refusals, faults and hostile contacts; axe finds nothing in either theme at three widths.
//
// PICTURES=dir has a picture of each screen put there.
const { readdirSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { ended, looks, roles, states } = require('./page_states');
const { api, base, check, fault, launch, picture, refusal, says, signIn, tab, text } = require('./page_world');

const main = '#main';

async function signingIn(browser) {
  const page = await tab(browser);
  await page.goto(base + '/');
  await page.fill('#u', 'admin');
  await page.fill('#p', 'wrong');
  await page.keyboard.press('Enter');
  await says(page, '#pe', /do not fit/);
  check(await page.evaluate(() => document.activeElement.id === 'p' && document.activeElement.value === ''), 'the password is not asked again');
  await picture(page, 'sign-in-refused');
  await signIn(page);
  await page.waitForSelector('.health');
  const [cookie] = (await page.context().cookies(base + '/api/auth/cookie')).filter((it) => it.name === 'contactd_refresh');
  check(cookie.httpOnly && cookie.sameSite === 'Strict' && cookie.path === '/api/auth', JSON.stringify(cookie));
  check((await page.context().cookies(base + '/api/contacts')).length === 0, 'the cookie goes to other paths');
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  check(!/eyJ|[A-Za-z0-9_-]{40}/.test(stored), 'a token is stored: ' + stored);
  await page.reload();
  await page.waitForSelector('.health');
  const second = await page.context().newPage();
  await second.goto(base + '/#/contacts');
  await second.waitForSelector('tbody a.cell');
  await page.click('#account');
  await page.click('dialog[open] >> text=Sign out');
  await page.waitForSelector('#u');
  await second.waitForSelector('#u');
  check((await page.context().cookies(base + '/api/auth')).length === 0, 'the cookie stays after signing out');
  await page.reload();
  await page.waitForSelector('#u');
  return page;
}

async function contacts(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await page.waitForSelector('tbody a.cell');
  await page.keyboard.press('n');
  await page.fill('dialog input[name=firstName]', 'Ada');
  await page.fill('dialog input[name=lastName]', 'Lovelace of the Page');
  await page.fill('dialog input[name=email]', 'ada(at)page');
  await page.keyboard.press('Control+Enter');
  await says(page, 'dialog .err', /e-mail/);
  check(await page.evaluate(() => document.activeElement.name === 'email'), 'the wrong field has no focus');
  await page.fill('dialog input[name=email]', 'ada@page.example');
  await page.keyboard.press('Control+Enter');
  await says(page, '.panel h2', /Ada Lovelace of the Page/);
  await page.waitForSelector('.panel-f >> text=Edit');
  const id = decodeURIComponent(/open=([^&]+)/.exec(page.url())[1]);
  await conflict(page, id);
  await page.click('.f-row:has-text("Title")');
  await says(page, '.why', /Because admin said so/);
  await page.click('#tab-history');
  await says(page, '.hist', /admin changed 2 fields, over the API.*admin changed 2 fields.*admin made the contact/);
  await page.focus('#tab-history');
  await page.keyboard.press('ArrowRight');
  await says(page, '.code', /Lovelace of the Page/);
  await page.click('.panel-f >> text=Delete');
  await says(page, '#notes', /is deleted/);
  await page.click('#notes >> text=Restore');
  await says(page, '.panel-h', /active/);
  await page.click('#tab-fields');
  await links(page);
  await merge(page, id);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.panel', { state: 'detached' });
  await lists(page);
  await erase(page, id);
  return page;
}

// Somebody else is faster: one field clashes, another does not.
async function conflict(page, id) {
  await page.keyboard.press('e');
  await page.fill('dialog input[name=title]', 'VP Engines');
  await page.fill('dialog input[name=phone]', '+44 20 7946 0111');
  await api('PATCH', `/api/contacts/${id}`, { title: 'Chief Engineer', company: 'Hooli' }, 'application/merge-patch+json');
  await page.click('dialog button[type=submit]');
  await says(page, '.cmp', /Title.*Chief Engineer.*VP Engines/);
  await says(page, 'dialog .msg', /admin changed this contact while you were editing.*version 1.*version 2/);
  await picture(page, 'contact-conflict');
  await page.click('dialog:last-of-type .btn.primary');
  await says(page, '.panel .f-list', /Hooli.*VP Engines/);
  const now = await api('GET', `/api/contacts/${id}`);
  check(now.title === 'VP Engines' && now.company === 'Hooli' && now.phone === '+44 20 7946 0111', JSON.stringify(now));
}

async function links(page) {
  await page.click('.panel >> text=Link an id');
  await page.fill('#ln-s', 'acme');
  await page.fill('#ln-i', `page-${Date.now()}`);
  await page.click('dialog[open] button[type=submit]');
  await says(page, '#notes', /linked/);
  await page.click('.panel >> text=Unlink');
  await says(page, '#notes', /no longer linked/);
}

async function merge(page, id) {
  const other = await api('POST', '/api/contacts', { firstName: 'A.', email: 'ada@page.example', attributes: { linkedin: 'in/ada-l' } });
  await page.click('.panel-f >> text=Merge');
  await page.click('.pick button:has-text("A.")');
  await says(page, '.cmp', /linkedin.*in\/ada-l/);
  await picture(page, 'contact-merge');
  await page.click('dialog[open] .btn.primary');
  await says(page, '#notes', /are merged/);
  const now = await api('GET', `/api/contacts/${id}`);
  check(now.attributes.linkedin === 'in/ada-l', JSON.stringify(now));
  const gone = await api('GET', `/api/contacts/${other.id}?includeDeleted=true`).catch((error) => String(error));
  check(gone.status === 'DELETED' || /410|404/.test(gone), JSON.stringify(gone));
}

async function lists(page) {
  await page.keyboard.press('/');
  await page.keyboard.type('lovelace of');
  await says(page, '.head p', /\d+ begin with/);
  await page.fill('#q', 'zzz-nobody');
  await says(page, '.empty', /Nothing begins with “zzz-nobody”/);
  await picture(page, 'contacts-none');
  await page.click('.empty >> text=Clear');
  await page.waitForFunction(() => document.querySelectorAll('tbody a.cell').length > 20);
  await page.click('th button:has-text("Name")');
  await page.waitForSelector('th[aria-sort=ascending]');
  await page.click('.chip:has-text("Active")');
  await page.click('.pop >> text=Active and deleted');
  await page.waitForSelector('th:has-text("Status")');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.panel h2');
  const first = await text(page, '.panel h2');
  await page.keyboard.press('k');
  await page.waitForFunction((before) => document.querySelector('.panel h2')?.textContent !== before, first);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.panel', { state: 'detached' });
  // Pages come as one scrolls, and the document stays small.
  for (let pages = 0; pages < 6; pages += 1) {
    const before = await page.evaluate(() => document.body.scrollHeight);
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction((height) => document.body.scrollHeight > height, before);
  }
  const rows = await page.evaluate(() => document.querySelectorAll('tbody tr').length);
  check(rows <= 400, `${rows} rows in the document`);
}

async function erase(page, id) {
  await page.go(`#/contacts?open=${encodeURIComponent(id)}`);
  await page.waitForSelector('.panel-f >> text=Erase');
  await page.click('.panel-f >> text=Erase');
  check(await page.locator('dialog .solid').isDisabled(), 'erasing needs no id');
  await page.fill('#er-id', id);
  await page.click('dialog .solid');
  await says(page, '#notes', /is erased/);
}

// What the hostile generator spoils events with (`simulate/hostile`).
function hostileValues() {
  const source = readFileSync(join(__dirname, '../../src/simulate/hostile/mod.rs'), 'utf8');
  const list = /const VALUES[^=]*= \[(.*?)\n\];/s.exec(source)[1];
  const unescaped = (text) => text.replace(/\\u\{([0-9a-f]+)\}|\\(.)/g, (_, code, plain) => (code ? String.fromCodePoint(parseInt(code, 16)) : plain));
  const values = [];
  for (const [, text] of list.matchAll(/^ {4}"((?:\\.|[^"\\])*)",$/gm)) {
    try { values.push(JSON.parse(unescaped(text))); } catch { /* Some are no JSON, on purpose. */ }
  }
  return values;
}

// Contacts and records of the hostile generator are shown, and do nothing.
async function hostile(browser) {
  const page = await tab(browser);
  await signIn(page);
  const shown = [];
  for (const value of hostileValues()) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    for (const contact of [{ firstName: text, company: text }, { lastName: 'Odd', attributes: { [text]: value } }]) {
      const made = await api('POST', '/api/contacts', contact).catch(() => null);
      if (made) shown.push(made.id);
    }
  }
  check(shown.length > 20, `only ${shown.length} odd contacts were taken`);
  await page.go('#/contacts?deleted=all');
  await page.waitForSelector('tbody a.cell');
  for (const id of shown) {
    await page.go(`#/contacts?deleted=all&open=${encodeURIComponent(id)}`);
    await page.waitForSelector('.panel .f-row');
    await page.click('#tab-history');
    await page.waitForSelector('.hist li');
    await page.click('#tab-json');
    await page.waitForSelector('.code');
    await harmless(page);
  }
  for (const letter of (await api('GET', '/api/dead-letters?limit=25')).data) {
    await page.go(`#/dead-letters?open=${encodeURIComponent(letter.id)}`);
    await says(page, '.panel', /What was done/);
    await harmless(page);
  }
  return page;
}

async function harmless(page) {
  const wrong = await page.evaluate(() => {
    const made = [...document.querySelectorAll('script:not([src]), iframe, img, object, embed, [onerror], [onload]')].map((it) => it.outerHTML);
    const hidden = /[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u.test(document.body.innerText) ? ['characters that act on the direction of text'] : [];
    return [...made, ...hidden];
  });
  check(wrong.length === 0, wrong.join('; '));
}

async function feed(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.go('#/feed');
  await says(page, '.head', /following/);
  const write = (count, from = 0) => api('POST', '/api/contacts/batch', Array.from({ length: count }, (_, i) => ({ op: 'create', contact: { firstName: `Fed ${from + i}` } })));
  await write(3);
  await says(page, 'tbody', /Fed 2/);
  await page.keyboard.press('Space');
  await write(2, 3);
  await says(page, '.more-new', /Paused at .*2 newer changes wait/);
  await picture(page, 'feed-paused');
  await page.click('.more-new');
  await says(page, 'tbody', /Fed 4/);
  for (let i = 0; i < 4; i += 1) await write(200, 100 + i * 200);
  await says(page, 'tbody', /Fed 899/);
  const rows = await page.evaluate(() => document.querySelectorAll('tbody tr').length);
  check(rows <= 500, `${rows} rows are kept`);
  await page.click('.chip:has-text("deleted")');
  await says(page, main, /Nothing has changed since/);
  // A position that leads on no more is a gap.
  const heal = await fault(page, /api\/feed/, refusal(410, 'POSITION_GONE', 'gone'));
  await page.click('.chip:has-text("created")');
  await says(page, 'tbody', /There is a gap here/);
  await heal();
  return page;
}

async function letters(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.go('#/dead-letters');
  await page.waitForSelector('.grp');
  await page.click('.grp >> nth=0');
  await page.waitForSelector('.grp[aria-pressed=true]');
  await page.click('tbody a.cell >> nth=0');
  await says(page, '.panel', /Value.*Key.*Headers.*What was done/);
  await picture(page, 'dead-letter');
  const hex = page.locator('.panel .seg button:has-text("Hex")');
  if (await hex.count()) { await hex.click(); await page.waitForSelector('.code.hex'); }
  await page.click('.panel-f >> text=Discard');
  await page.click('dialog .solid');
  await says(page, '#notes', /is discarded/);
  await page.keyboard.press('Escape');
  await page.waitForSelector('.panel', { state: 'detached' });
  await page.click('.head >> text=Redrive…');
  await says(page, 'dialog', /dry run.*fit/);
  await says(page, 'dialog .btn.primary', /Redrive [\d,]+ letter/);
  await picture(page, 'dead-letters-redrive');
  await page.click('dialog .btn.primary');
  await says(page, main, /Redrives and discards/);
  await says(page, main, /redrive.*done/);
  return page;
}

async function simulator(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.go('#/simulator');
  await page.fill('#dt', '{ "id": ');
  await says(page, '.err', /is no JSON/);
  await page.fill('#dt', JSON.stringify({ id: 'simulated-1', acme_first_name: 'Simulated', acme_email: 's@page.example' }));
  await page.focus('#s-forge');
  for (let i = 0; i < 5; i += 1) await page.keyboard.press('PageUp');
  await says(page, 'output[for=s-forge]', /50 %/);
  await page.keyboard.press('Control+Enter');
  await says(page, '.verdict-line', /delivered.*refused, as they should be/);
  await page.click('.sim-t tbody tr >> nth=0');
  await page.waitForSelector('.tries li');
  await picture(page, 'simulator');
  const heal = await fault(page, /simulator\/webhooks/, refusal(404, 'SIMULATOR_OFF', 'off'));
  await page.go('#/contacts');
  await page.waitForSelector('tbody');
  await page.go('#/simulator');
  await says(page, main, /simulator\.enabled/);
  check(await page.locator('.sim button[type=submit]').isDisabled(), 'what is off can be sent');
  await heal();
  return page;
}

async function connections(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.go('#/connections');
  await page.click('.fol >> text=Pause');
  await says(page, '.fol', /paused/);
  await page.click('.fol >> text=Resume');
  await says(page, '.fol', /following/);
  await api('GET', '/api/auth/me');
  await page.go('#/connections?tab=sign-ins');
  await says(page, main, /this sign-in/);
  const before = await page.locator('tbody tr').count();
  await page.locator('tbody button[aria-label^="End "]').first().click();
  await page.waitForFunction((count) => document.querySelectorAll('tbody tr').length < count, before);
  await api('GET', '/api/auth/me').catch(() => null);
  return page;
}

async function overview(browser) {
  const page = await tab(browser);
  await signIn(page);
  await says(page, '.health h1', /Keeping up|Dead letters/);
  await page.click('.seg >> text=Not applied');
  await page.click('.seg >> text=24 h');
  await says(page, '#verdicts-h', /an hour/);
  const change = (act) => async (route) => {
    const answer = await route.fetch();
    const json = await answer.json();
    act(json);
    await route.fulfill({ response: answer, json });
  };
  const since = new Date(Date.now() - 540e3).toISOString();
  let heal = await fault(page, /api\/overview/, change((it) => {
    it.health = { state: 'behind', since };
    Object.assign(it.lanes[0], { lagRecords: 25306, lagSeconds: 531 });
  }));
  await says(page, '.health h1', /Behind on 1 of \d+ partitions since .*, for 9 min/);
  await says(page, '.fig', /Oldest not applied/);
  await picture(page, 'overview-trouble');
  await heal();
  heal = await fault(page, /api\/overview/, change((it) => { it.health = { state: 'dependency_down', since }; it.dependencies.kafka = false; it.outbox.records = 31; }));
  await says(page, '.health h1', /Kafka is away since/);
  await heal();
  return page;
}

async function speed(browser) {
  const page = await tab(browser);
  await signIn(page);
  const paints = [];
  for (let i = 0; i < 5; i += 1) {
    await page.reload();
    await page.waitForSelector('.health');
    paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN));
  }
  console.log(`first paint after ${paints.map((it) => it.toFixed(0)).join(', ')} ms`);
  return page;
}

const STEPS = { signingIn, overview, contacts, hostile, feed, letters, simulator, connections, states, ended, roles, looks, speed };

(async () => {
  const wanted = (process.env.ONLY || Object.keys(STEPS).join(' ')).split(' ');
  const browser = await launch();
  try {
    for (const name of wanted) {
      const page = await STEPS[name](browser).catch((error) => { error.message = `${name}: ${error.message}`; throw error; });
      if (page.problems.length) throw new Error(`${name}: ${page.problems.join('\n')}`);
      await page.context().close();
      console.log(`${name}: well`);
    }
    if (process.env.PICTURES) console.log(`${readdirSync(process.env.PICTURES).length} pictures in ${process.env.PICTURES}`);
  } finally {
    await browser.close();
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
