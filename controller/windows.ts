// A schedule that is looked at often: its last answers are remembered, and what it takes to find others is kept for a few schedules
// only. A parsed one takes 11 KB and an answer up to 130 us; ten thousand backups are looked at several times a window.
import { parseSchedule, type Schedule } from '../crds/rules/schedule.ts';

/** Parsed schedules, the longest unused first. Backups that share text and zone share one; more than these are parsed again. */
const parsed = new Map<string, Schedule>();
const mostParsed = 256;
/** One look asks after what was handled last and after now. */
const mostAnswers = 2;

function scheduleOf(text: string, zone: string, seed: string): Schedule {
  // Only H depends on whose schedule it is.
  const key = JSON.stringify([text, zone, /h/i.test(text) ? seed : '']);
  const found = parsed.get(key) ?? parseSchedule(text, zone, seed);
  parsed.delete(key);
  parsed.set(key, found);
  const [oldest] = parsed.keys();
  if (parsed.size > mostParsed && oldest !== undefined) parsed.delete(oldest);
  return found;
}

/**
 * As `parseSchedule`, for long use.
 * @throws ScheduleError
 */
export function rememberedSchedule(text: string, zone: string, seed: string): Schedule {
  const { resolved, everyHour } = scheduleOf(text, zone, seed);
  const answers: { after: number; next: number | undefined }[] = [];
  const next = (after: number): number | undefined => {
    // Between a time and the window after it there is no other window.
    const known = answers.find((answer) => answer.after <= after && answer.next !== undefined && after < answer.next);
    if (known !== undefined) return known.next;
    const found = scheduleOf(text, zone, seed).next(after);
    answers.unshift({ after, next: found });
    answers.length = Math.min(answers.length, mostAnswers);
    return found;
  };
  return { resolved, zone, everyHour, next, nextWall: (wall) => scheduleOf(text, zone, seed).nextWall(wall) };
}
