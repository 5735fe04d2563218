/** Where a place stands, whatever comes in whatever order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Standing } from '../src/standing.js';

const entry = (more) => ({ state: 'waiting', version: 1, seq: 100, position: 50, serving: 50, eta_seconds: { p50: 100, p90: 200 }, ...more });
const line = (serving, more) => ({ serving, waiting: 60, rate_per_second: 10, remaining: 100, state: 'open', ...more });

test('a position never rises, whatever a node says', () => {
  const standing = new Standing();
  assert.ok(standing.take(entry({})));
  assert.ok(standing.take(entry({ position: 60, serving: 40 })), 'another node is behind');
  assert.equal(standing.entry.position, 50);
  assert.equal(standing.seen, 50);
  assert.equal(standing.first, 50);
});

test('an older version is ignored, also over a visit', () => {
  const standing = new Standing();
  standing.take(entry({ state: 'called', version: 2, position: null }));
  assert.equal(standing.take(entry({})), false);
  assert.equal(standing.entry.state, 'called');
  const kept = { seen: 50, version: 2, first: 50, position: null, wasStandby: false };
  assert.equal(new Standing(kept).take(entry({})), false);
});

test('between two looks the line is counted on, and the forecast shrinks with it', () => {
  const standing = new Standing();
  standing.take(entry({}));
  assert.equal(standing.takeLine(line(60), 1_000), 'moved');
  assert.equal(standing.entry.position, 40);
  assert.deepEqual(standing.entry.eta_seconds, { p50: 80, p90: 160 });
  assert.equal(standing.takeLine(line(60), 1_250), 'same');
  assert.equal(standing.takeLine(line(55), 1_500), 'same', 'a node that is behind');
  assert.equal(standing.seen, 60);
  for (let serving = 70; serving <= 200; serving += 10) standing.takeLine(line(serving), serving * 100);
  assert.equal(standing.entry.position, 1, 'next is the best there is');
});

test('a jump that the pace does not explain is not counted: the place is looked at', () => {
  const standing = new Standing();
  standing.take(entry({ position: 5_000, seq: 5_050 }));
  assert.equal(standing.takeLine(line(60), 1_000), 'moved');
  assert.equal(standing.takeLine(line(60_000), 1_250), 'ask', 'numbers that were never given out');
  assert.equal(standing.entry.position, 4_990);
  assert.equal(standing.takeLine(line(60_010), 1_500), 'same', 'nothing to count from');
  standing.take(entry({ position: 4_980, serving: 60_010 }));
  assert.equal(standing.takeLine(line(60_020), 1_750), 'moved');
  assert.equal(standing.entry.position, 4_970);
});

test('what was kept goes on where it was', () => {
  const standing = new Standing({ seen: 70, version: 1, first: 90, position: 30, wasStandby: true });
  standing.take(entry({ position: 45, serving: 55 }));
  assert.deepEqual([standing.entry.position, standing.first, standing.seen, standing.wasStandby], [30, 90, 70, true]);
});

test('who stands by has neither number nor position, and gets an offer or nothing', () => {
  const standing = new Standing();
  const standby = entry({ state: 'standby', version: 2, seq: null, position: null, eta_seconds: null, odds: 'unlikely' });
  assert.ok(standing.take(standby));
  assert.deepEqual([standing.entry.position, standing.entry.seq, standing.wasStandby], [null, null, true]);
  assert.equal(standing.takeLine(line(60), 1_000), 'same', 'the line is not counted on');
  assert.equal(standing.take(entry({})), false, 'it waits no more');
  assert.ok(standing.take({ ...standby, state: 'reserved', version: 3, order: 'an-order' }));
  assert.deepEqual([standing.entry.state, standing.wasStandby], ['reserved', true]);
});

test('who waited and stands by now has no position any more', () => {
  const standing = new Standing();
  standing.take(entry({}));
  standing.take(entry({ state: 'standby', version: 2, position: null, eta_seconds: null }));
  assert.deepEqual([standing.entry.position, standing.position], [null, null]);
});
