// docs/api/asyncapi.yaml by the AsyncAPI project's own parser, and against docs/api/openapi.json: what both describe is the same.
// Its examples are held against its payloads here, since the parser does not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

const folder = new URL('../../docs/api/', import.meta.url);
const source = readFileSync(new URL('asyncapi.yaml', folder), 'utf8');
const { document, diagnostics } = await new Parser().parse(source, {
  source: new URL('asyncapi.yaml', folder).pathname,
});
for (const { code, message, path, range, severity } of diagnostics) {
  const level = ['error', 'warning', 'information', 'hint'][severity];
  console.log(`asyncapi.yaml:${range.start.line + 1}: ${level} ${code}: ${message} (${path.join('.')})`);
}
assert(document, 'docs/api/asyncapi.yaml could not be read');
// 0 is an error, 1 a warning; the rest is advice, such as which version of AsyncAPI is the newest.
assert(!diagnostics.some(({ severity }) => severity <= 1), 'docs/api/asyncapi.yaml is not clean');

/** A schema as it stands in the file: without what the parser adds for itself. */
const written = (value) =>
  JSON.parse(JSON.stringify(value, (key, inner) => (key.startsWith('x-parser-') ? undefined : inner)));

const ajv = formats.default(new Ajv2020({ strict: false, allErrors: true }));
let examples = 0;
for (const message of document.components().messages().all()) {
  const fits = ajv.compile(written(message.payload().json()));
  for (const example of message.examples().all()) {
    assert(fits(example.payload()), `example ${message.id()}/${example.name()}: ${ajv.errorsText(fits.errors)}`);
    examples += 1;
  }
}
assert(examples >= document.components().messages().length, 'a message has no example');

const openapi = JSON.parse(readFileSync(new URL('openapi.json', folder), 'utf8')).components.schemas;
const resolve = (value) => {
  if (Array.isArray(value)) return value.map(resolve);
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$ref === 'string') return resolve(openapi[value.$ref.split('/').pop()]);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner)]));
};
const shared = document.components().schemas().all().filter((schema) => schema.id() in openapi);
for (const schema of shared) {
  assert.deepEqual(written(schema.json()), resolve(openapi[schema.id()]), `${schema.id()} differs between the two documents`);
}
assert(shared.length >= 4, `the documents share only ${shared.length} schemas`);
console.log(`asyncapi.yaml: sound, its ${examples} examples fit, and ${shared.length} schemas are those of openapi.json`);
