/** Never sooner than told, never in step, never for ever. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Nap, PAUSE_MAX_MS, pause, pollPause, retryAfterMs } from '../src/pace.js';

test('a pause is what was told and full jitter on top', () => {
  for (let tries = 0; tries < 30; tries += 1) {
    const range = Math.min(PAUSE_MAX_MS, 500 * 2 ** tries);
    assert.equal(pause(tries, 3_000, () => 0), 3_000);
    assert.equal(pause(tries, 3_000, () => 1), 3_000 + range);
    assert.equal(pause(tries, undefined, () => 0.5), range / 2);
  }
  assert.ok(pause(0, 1e12, () => 0) <= 600_000, 'nobody waits for years because of a mistake');
});

test('a poll is not sooner than told and a fifth later at most', () => {
  assert.equal(pollPause(2_000, () => 0), 2_000);
  assert.equal(pollPause(2_000, () => 1), 2_400);
  assert.ok(pollPause(0, () => 0) >= 250, 'zero is no reason to spin');
  assert.ok(pollPause(Number.NaN, () => 0) >= 250);
});

test('Retry-After is seconds or a date', () => {
  assert.equal(retryAfterMs('3'), 3_000);
  const told = retryAfterMs(new Date(Date.now() + 5_000).toUTCString());
  assert.ok(told > 3_000 && told <= 5_000);
  for (const useless of [null, '', 'soon', '-1', new Date(0).toUTCString()]) assert.equal(retryAfterMs(useless), undefined);
});

test('a nap ends by waking and by stopping', async () => {
  const nap = new Nap();
  const slept = nap.sleep(1e9);
  nap.wake();
  await slept;
  const stopper = new AbortController();
  const stopped = nap.sleep(1e9, stopper.signal);
  stopper.abort();
  await stopped;
  await nap.sleep(1e9, stopper.signal);
});
