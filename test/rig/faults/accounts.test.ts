// The accounts find a window that is claimed twice, counted twice, or forgotten, and nothing where all adds up.
import { expect, test } from 'vitest';
import type { Backup } from '../../../controller/objects.ts';
import { backup } from '../../controller/builders.ts';
import { Accounts } from './accounts.ts';

const windows = ['2025-03-27T01:00:00Z', '2025-03-27T02:00:00Z', '2025-03-27T03:00:00Z'] as const;
const all = windows.map((window) => Date.parse(window));

type Status = NonNullable<Backup['status']>;
const claim = (slot: string, jobUID = slot): Status => ({
  run: { trigger: 'Schedule', slot, jobName: 'x', jobUID, claimedAt: slot },
  lastAttemptScheduledTime: slot,
});

function wrong(...history: Status[]): string[] {
  const told = history.map((status, index) => {
    return { revision: index + 1, type: 'MODIFIED', object: backup({ status }) } as const;
  });
  return new Accounts().follow(told).wrong(all);
}

test('windows that are claimed, or counted as missed, each once, add up', () => {
  const missed = { missedWindows: 1, missedUntil: windows[1] };
  const first = claim(windows[0]);
  expect(wrong(first, first, { ...first, ...missed }, { ...claim(windows[2]), ...missed })).toEqual([]);
});

test.each<[string, Status[], string]>([
  ['a window that is claimed again by another Job', [claim(windows[0]), claim(windows[0], 'other')], 'claimed twice'],
  ['a window that nobody claimed or counted', [claim(windows[0]), claim(windows[2])], '2 were claimed and 0 counted'],
  [
    'a window that is counted though it was claimed',
    [claim(windows[0]), claim(windows[1]), { ...claim(windows[2]), missedWindows: 1 }],
    '3 were claimed and 1 counted',
  ],
  ['a claim of what is no window', [claim('2025-03-27T01:30:00Z')], 'is no window'],
  [
    'a count that goes back by more than the one that may be taken back',
    [{ missedWindows: 3 }, { missedWindows: 1 }],
    'goes from 3 to 1',
  ],
  ['windows that are still open', [claim(windows[0])], 'are open'],
])('%s is found', (_name, history, said) => {
  expect(wrong(...history).join()).toContain(said);
});
