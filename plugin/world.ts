// What a command is given of the world around it; main makes the real one, a test makes its own.
import type { Kube } from './kube.ts';
import type { Terminal } from './output/terminal.ts';

export interface World {
  kube: Kube;
  terminal: Terminal;
  /** The namespace of -n, else of the kubeconfig's context. */
  namespace: string;
  /** ` --context x --kubeconfig y` as the user gave them, for commands that we print. */
  flags: string;
  now(): Date;
  /** IANA name of the user's zone. */
  zone: string;
  /** Ends early, with a rejection, when the user interrupts. */
  pause(milliseconds: number): Promise<void>;
  /** Aborted by an interrupt. */
  signal: AbortSignal;
  /** Random hex digits, for tokens. */
  randomHex(digits: number): string;
}
