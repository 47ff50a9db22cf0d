// The Jobs that steps ask for.
import { buildJob, type JobRequest } from '../job.ts';
import type { Draft } from '../observed.ts';
import { runImage } from './gate.ts';

/** A Job of the spec as it is now. */
export function made(draft: Draft, name: string, trigger: JobRequest['trigger']): { name: string; job: object } {
  const { observed, settings } = draft;
  return { name, job: buildJob({ backup: observed.backup, settings, name, image: runImage(draft), trigger }) };
}
