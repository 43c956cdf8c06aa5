// Signs in, creates, pages, edits and deletes by the client that openapi-generator's typescript-fetch
// makes of the description.
import { Configuration, ContactsApi, ResponseError, SigningInApi } from './generated';

const { URL: base, USERNAME, PASSWORD } = process.env;

function assert(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

async function statusOf(request: Promise<unknown>): Promise<number> {
  try {
    await request;
    return 200;
  } catch (error) {
    if (error instanceof ResponseError) return error.response.status;
    throw error;
  }
}

async function main() {
  const anybody = new Configuration({ basePath: base });
  const login = (password: string) =>
    new SigningInApi(anybody).login({ login: { username: USERNAME, password } });
  assert((await statusOf(login('no'))) === 401, 'a wrong password');
  const { accessToken } = await login(PASSWORD ?? '');
  const contacts = new ContactsApi(new Configuration({ basePath: base, accessToken }));
  const made: string[] = [];
  for (let number = 0; number < 7; number++) {
    const contactToWrite = {
      firstName: 'Ada', lastName: `Fetched ${number}`, company: 'Fetched Clients',
      attributes: { seats: number },
    };
    const contact = await contacts.createContact({ contactToWrite });
    assert(contact.version === 1 && contact.lastName === contactToWrite.lastName, contact);
    made.push(contact.id);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await contacts.listContacts({ limit: 3, company: 'Fetched Clients', cursor });
    seen.push(...page.data.map((contact) => contact.id));
    cursor = page.meta.nextCursor ?? undefined;
  } while (cursor);
  assert(seen.sort().join() === [...made].sort().join(), seen);
  const id = made[0];
  const patched = await contacts.patchContactRaw({ id, contactPatch: { title: 'Countess', phone: null } });
  const ifMatch = patched.raw.headers.get('ETag') ?? '';
  const put = await contacts.replaceContact({ id, ifMatch, contactToWrite: { firstName: 'Augusta' } });
  assert(put.firstName === 'Augusta' && put.title === null, put);
  assert((await statusOf(contacts.patchContact({ id, ifMatch, contactPatch: {} }))) === 412, 'a stale ETag');
  const upserted = await contacts.patchContactRaw({ id: `${id}-new`, upsert: true, contactPatch: {} });
  assert(upserted.raw.status === 201, upserted.raw.status);
  for (const id of made) await contacts.deleteContact({ id });
  assert((await statusOf(contacts.getContact({ id }))) === 404, 'a deleted contact');
  console.log(`typescript-fetch: signed in, created ${made.length}, paged, edited, deleted`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
