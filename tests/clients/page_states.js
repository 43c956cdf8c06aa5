// What the page shows when something is not as it should be, what each role sees, and how every screen looks in
// both themes and at every width.
const { base, check, fault, picture, refusal, says, signIn, sound, tab } = require('./page_world');

const SIZES = [
  { width: 1440, height: 900, scheme: 'light' }, { width: 1440, height: 900, scheme: 'dark' },
  { width: 1024, height: 800, scheme: 'light' }, { width: 1600, height: 900, scheme: 'dark' },
  { width: 390, height: 844, scheme: 'light' }, { width: 360, height: 740, scheme: 'dark' },
];
const SCREENS = [
  ['overview', '#/overview', '.health h1'], ['contacts', '#/contacts', 'tbody a.cell'], ['feed', '#/feed', '.foot'],
  ['dead-letters', '#/dead-letters', 'tbody a.cell'], ['redrives', '#/dead-letters?view=redrives', '.card'],
  ['simulator', '#/simulator', '.sim form'], ['followers', '#/connections', '.fol'], ['sign-ins', '#/connections?tab=sign-ins', '.two'],
];
const main = '#main';

const settled = (page) => page.waitForFunction(() => !document.querySelector('[aria-busy=true]'));

async function states(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.waitForSelector('.health');
  const list = /api\/contacts\?/;
  let heal = await fault(page, list, refusal(503, 'NOT_READY', '1,412,000 of 9,600,000 records are applied', { 'retry-after': '1' }));
  await page.go('#/contacts');
  await says(page, '.empty', /Not ready yet.*1,412,000/);
  await heal();
  await page.waitForSelector('tbody a.cell');
  heal = await fault(page, list, refusal(500, 'INTERNAL_ERROR', 'something broke'));
  await page.fill('#q', 'a');
  await says(page, '.empty', /That did not work.*INTERNAL_ERROR.*01a2272c/);
  await picture(page, 'state-error');
  await heal();
  await page.click('.empty >> text=Try again');
  await page.waitForSelector('tbody a.cell');
  heal = await fault(page, list, refusal(429, 'RATE_LIMITED', 'too often', { 'retry-after': '1' }));
  await page.fill('#q', 'b');
  await says(page, '#notes', /limit of requests is used up/);
  await heal();
  await page.waitForSelector('tbody a.cell');
  // Slow: rows of the final height stand there meanwhile.
  let go;
  const waits = new Promise((done) => { go = done; });
  heal = await fault(page, list, async (route) => { await waits; await route.continue(); });
  await page.go('#/overview');
  await page.waitForSelector('.health');
  await page.go('#/contacts');
  await page.waitForSelector('table[aria-busy=true] .sk');
  await picture(page, 'state-slow');
  go();
  await page.waitForSelector('tbody a.cell');
  await heal();
  // Nothing is thrown away while contactd is away.
  await page.context().setOffline(true);
  await page.fill('#q', 'c');
  await says(page, '.banner', /No connection to contactd since/);
  await picture(page, 'state-away');
  await page.context().setOffline(false);
  await page.waitForSelector('.banner', { state: 'detached' });
  heal = await fault(page, /api\/contacts$/, refusal(503, 'WRITE_UNAVAILABLE', 'the log takes nothing'));
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('n');
  await page.fill('dialog input[name=firstName]', 'Kept in the form');
  await page.keyboard.press('Control+Enter');
  await says(page, 'dialog .msg', /Nothing is saved/);
  await heal();
  await page.keyboard.press('Escape');
  return page;
}

// A sign-in that ended is asked for over the same view.
async function ended(browser) {
  const page = await tab(browser);
  await signIn(page);
  await page.go('#/contacts?sort=name');
  await page.waitForSelector('tbody a.cell');
  const heal = await fault(page, /api\/auth\/cookie\/refresh/, refusal(401, 'INVALID_REFRESH_TOKEN', 'ended'));
  const refuse = await fault(page, /api\/contacts\?/, refusal(401, 'TOKEN_REVOKED', 'revoked'));
  await page.fill('#q', 'a');
  await says(page, '#sign', /Your sign-in has ended/);
  await picture(page, 'sign-in-ended');
  await refuse();
  await heal();
  check((await page.inputValue('#u')) === 'admin', 'the name is asked again');
  await page.fill('#p', process.env.PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('#frame:not([hidden]) tbody a.cell');
  check(page.url().includes('sort=name') && (await page.inputValue('#q')) === 'a', page.url());
  return page;
}

async function roles(browser) {
  const viewer = await tab(browser);
  await signIn(viewer, 'viewer');
  await viewer.waitForSelector('.health');
  check((await viewer.locator('.nav li:visible').allInnerTexts()).join().replace(/\s/g, '') === 'Overview,Contacts,Livefeed,Connections', 'a viewer sees other places');
  await viewer.go('#/dead-letters');
  await says(viewer, main, /not for your role.*viewer/);
  await viewer.go('#/contacts');
  await viewer.waitForSelector('tbody a.cell');
  check((await viewer.locator('text=New contact').count()) === 0, 'a viewer may make contacts');
  await viewer.click('tbody a.cell >> nth=0');
  await viewer.waitForSelector('.panel-f >> text=Export');
  check((await viewer.locator('.panel-f >> text=Edit').count()) === 0, 'a viewer may edit');
  const editor = await tab(browser);
  await signIn(editor, 'editor');
  await editor.go('#/dead-letters');
  await editor.waitForSelector('tbody a.cell');
  check((await editor.locator('.head >> text=Redrive…').count()) === 0, 'an editor may redrive');
  viewer.problems.push(...editor.problems);
  return viewer;
}

// Every screen in both themes and at every width.
async function looks(browser) {
  const problems = [];
  for (const size of SIZES) {
    const page = await tab(browser, { ...size, bypassCSP: true });
    const at = `${size.scheme}-${size.width}`;
    await page.goto(base + '/');
    await page.waitForSelector('#u');
    await sound(page, `sign-in ${at}`);
    await picture(page, `sign-in-${at}`);
    await signIn(page);
    for (const [name, hash, there] of SCREENS) {
      await page.go(hash);
      await page.waitForSelector(`${main} ${there}`);
      await settled(page);
      await sound(page, `${name} ${at}`);
      await picture(page, `${name}-${at}`);
    }
    await page.go('#/contacts');
    await page.click('tbody a.cell >> nth=1');
    await page.waitForSelector('.panel-f >> text=Export', { state: 'attached' });
    await settled(page);
    await page.click('.f-row >> nth=0');
    await sound(page, `contact ${at}`);
    await picture(page, `contact-${at}`);
    await page.click('#tab-history');
    await page.waitForSelector('.hist .diff');
    await sound(page, `history ${at}`);
    await picture(page, `contact-history-${at}`);
    await page.click('.panel-f >> text=Edit');
    await page.waitForSelector('dialog[open]');
    await sound(page, `form ${at}`);
    await picture(page, `contact-form-${at}`);
    await page.keyboard.press('Escape');
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('?');
    await sound(page, `keys ${at}`);
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.keyboard.type('a');
    await page.waitForSelector('.pal li');
    await sound(page, `anything ${at}`);
    await picture(page, `palette-${at}`);
    problems.push(...page.problems);
    await page.context().close();
  }
  return { problems, context: () => ({ close() {} }) };
}

module.exports = { states, ended, roles, looks };
