/** The console's files by themselves: types, words in both languages, and that no page of it is too long. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const CONSOLE = resolve(HERE, '../../operator/console');

async function sources() {
  const names = await readdir(CONSOLE, { recursive: true });
  const modules = names.filter((name) => name.endsWith('.js'));
  return Promise.all(modules.map(async (name) => ({ name, text: await readFile(join(CONSOLE, name), 'utf8') })));
}

/** A dictionary by its text: `"key": "sentence"`, a line each. */
async function dictionary(language) {
  const texts = await Promise.all([`words/${language}.js`, `words/${language}-names.js`].map((name) => readFile(join(CONSOLE, name), 'utf8')));
  const rows = texts.join('\n').matchAll(/^ {2}"?([\w.-]+)"?: "(.*)",$/gm);
  return new Map([...rows].map(([, key, sentence]) => [key, sentence]));
}

test('the types of every module are sound', () => {
  const checked = spawnSync(join(HERE, 'node_modules/.bin/tsc'), ['-p', CONSOLE], { encoding: 'utf8' });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test('both languages say everything, with the same values', async () => {
  const [en, zh] = [await dictionary('en'), await dictionary('zh')];
  assert.ok(en.size > 400, `${en.size} sentences were found`);
  assert.deepEqual([...zh.keys()].sort(), [...en.keys()].sort());
  const values = (sentence) => [...sentence.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, sentence] of en) assert.deepEqual(values(zh.get(key) ?? ''), values(sentence), key);
  for (const [key, sentence] of zh) {
    // Units, names and abbreviations are the same everywhere.
    if (sentence === en.get(key)) assert.match(sentence, /^(SKU|\{|p\d)/, `${key} is not translated`);
  }
});

test('every sentence that is asked for is there', async () => {
  const en = await dictionary('en');
  const asked = (await sources()).flatMap(({ text }) => [...text.matchAll(/\bt\("([\w.-]+)"/g)].map(([, key]) => key));
  assert.ok(asked.length > 300);
  assert.deepEqual(asked.filter((key) => !en.has(key)), []);
});

test('every sentence that is there is asked for', async () => {
  const all = (await sources()).filter(({ name }) => !/words\/(en|zh)/.test(name)).map(({ text }) => text).join('\n');
  // Whole families are asked for by what the API names, or by a tile's or a button's name.
  const families = /^(role|state|tab|order|store|field|help|choice|verdict|finding|money|verb|result|letter-kind|outcome|ban|report|act|letter|audit|check|create|live|effect|time)\./;
  const unused = [...(await dictionary('en')).keys()].filter((key) => !families.test(key) && !all.includes(`"${key}"`));
  assert.deepEqual(unused, []);
});

test('files are pages', async () => {
  for (const { name, text } of await sources()) {
    assert.ok(text.startsWith('/**'), `${name} does not say what it is`);
    assert.ok(text.split('\n').length <= 420, `${name} is too long`);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/, `${name} makes markup of text`);
  }
});
