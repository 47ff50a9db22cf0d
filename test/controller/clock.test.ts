// The time that decisions are made by, whatever is done to the clock of the machine.
import { describe, expect, test } from 'vitest';
import { Clock } from '../../controller/clock.ts';

const real = Date.parse('2025-03-27T01:00:00Z');
const minute = 60_000;
const hour = 60 * minute;

/** A machine whose clock is off by so much, and that can be moved on and set. */
function machine(off: number) {
  const state = { steady: 1000, off };
  const source = { wall: () => real + state.steady - 1000 + state.off, steady: () => state.steady };
  return { state, source, server: () => new Date(real + state.steady - 1000).toUTCString() };
}

describe('the time', () => {
  test.each([0, 4 * minute, -4 * minute])('is our own while it is off by %d ms only', (off) => {
    const { source, server, state } = machine(off);
    const clock = new Clock(5 * minute, source);
    clock.heard(server(), state.steady);
    expect(clock.isWrong).toBe(false);
    expect(clock.now()).toBe(real + off);
  });

  test.each([hour, -hour, -real, Date.parse('2100-01-01') - real])(
    'is the API server’s when ours is off by %d ms',
    (off) => {
      const { source, server, state } = machine(off);
      const clock = new Clock(5 * minute, source);
      clock.heard(server(), state.steady);
      expect(clock.isWrong).toBe(true);
      expect(Math.abs(clock.now() - real)).toBeLessThanOrEqual(500);
      expect(Math.abs(clock.ahead - off)).toBeLessThanOrEqual(500);
    },
  );

  test('goes on when the clock is set in between, before the API server is heard again', () => {
    const { source, server, state } = machine(0);
    const clock = new Clock(5 * minute, source);
    clock.heard(server(), state.steady);
    state.steady += hour;
    state.off = 24 * hour;
    expect(Math.abs(clock.now() - (real + hour))).toBeLessThanOrEqual(500);
    state.off = 0;
    expect(clock.now()).toBe(real + hour);
  });

  test('is our own until the API server has said otherwise, and when it is told to be', () => {
    const { source, server, state } = machine(24 * hour);
    expect(new Clock(5 * minute, source).now()).toBe(real + 24 * hour);
    const obedient = new Clock(0, source);
    obedient.heard(server(), state.steady);
    expect(obedient.now()).toBe(real + 24 * hour);
  });

  test('is not taken from an answer without a time', () => {
    const { source, state } = machine(24 * hour);
    const clock = new Clock(5 * minute, source);
    for (const date of [undefined, '', 'yesterday']) clock.heard(date, state.steady);
    expect(clock.ahead).toBe(0);
  });

  test('lies between the moments of question and answer', () => {
    const { source, server, state } = machine(0);
    const clock = new Clock(5 * minute, source);
    const date = server();
    const asked = state.steady;
    state.steady += 10_000;
    clock.heard(date, asked);
    expect(Math.abs(clock.ahead)).toBeLessThanOrEqual(5500);
  });
});
