// Signs in, creates, pages, edits and deletes by the types that openapi-typescript makes of the
// description, with its authors' openapi-fetch.
import createClient from 'openapi-fetch';

import type { components, paths } from './schema';

type Contact = components['schemas']['Contact'];

const { URL: base, USERNAME, PASSWORD } = process.env;

function assert(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

async function main() {
  const anybody = createClient<paths>({ baseUrl: base });
  const wrong = await anybody.POST('/api/auth/login', { body: { username: USERNAME, password: 'no' } });
  assert(wrong.response.status === 401 && wrong.error !== undefined, wrong.error);
  const right = await anybody.POST('/api/auth/login', {
    body: { username: USERNAME, password: PASSWORD ?? '' },
  });
  assert(right.data !== undefined, right.error);
  const client = createClient<paths>({
    baseUrl: base, headers: { Authorization: `Bearer ${right.data.accessToken}` },
  });
  const made: Contact[] = [];
  for (let number = 0; number < 7; number++) {
    const { data, error } = await client.POST('/api/contacts', {
      body: { firstName: 'Ada', lastName: `Typed ${number}`, company: 'Typed Clients' },
    });
    assert(data !== undefined && 'version' in data && data.version === 1, error);
    made.push(data);
  }
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const query = { limit: 3, company: 'Typed Clients', ...(cursor ? { cursor } : {}) };
    const { data, error } = await client.GET('/api/contacts', { params: { query } });
    assert(data !== undefined, error);
    seen.push(...data.data.map((contact) => contact.id));
    cursor = data.meta.nextCursor ?? undefined;
  } while (cursor);
  assert(seen.sort().join() === made.map((contact) => contact.id).sort().join(), seen);
  const path = { id: made[0].id };
  const changed = await client.PATCH('/api/contacts/{id}', {
    params: { path }, body: { title: 'Countess', phone: null },
    headers: { 'Content-Type': 'application/merge-patch+json' },
  });
  assert(changed.response.status === 200, changed.error);
  const put = await client.PUT('/api/contacts/{id}', {
    params: { path, header: { 'If-Match': changed.response.headers.get('ETag') ?? '' } },
    body: { firstName: 'Augusta' },
  });
  assert(put.data !== undefined && 'title' in put.data && put.data.title === null, put.error);
  for (const { id } of made) {
    const gone = await client.DELETE('/api/contacts/{id}', { params: { path: { id } } });
    assert(gone.response.status === 204, gone.error);
  }
  const { error } = await client.GET('/api/contacts/{id}', { params: { path } });
  assert(error !== undefined && 'error' in error && error.error.code === 'CONTACT_NOT_FOUND', error);
  console.log(`openapi-typescript: signed in, created ${made.length}, paged, edited, deleted`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
