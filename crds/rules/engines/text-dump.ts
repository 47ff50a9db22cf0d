// The end marker of dumps that are text: the last words are looked for near the end.
import type { EndMarker } from './engine.ts';

export interface TextDump {
  /** The tool whose output it is, for messages. */
  tool: string;
  /** What the first bytes look like. */
  begins: RegExp;
  /** What the last bytes hold when the dump is whole. */
  ends: RegExp;
}

/** Bytes at either end that are looked at. */
const looked = 1024;

/** Watches a dump of text pass. Its errors say where it is not whole. */
export function textDump({ tool, begins, ends }: TextDump): () => EndMarker {
  return () => {
    let first = Buffer.alloc(0);
    let last = Buffer.alloc(0);
    let isRight = false;
    const check = (): void => {
      isRight = begins.test(first.toString('latin1'));
      if (!isRight) throw new Error(`read the dump: it does not begin as what ${tool} writes`);
    };
    return {
      push(chunk) {
        if (!isRight) {
          first = Buffer.concat([first, chunk.subarray(0, looked - first.length)]);
          if (first.length >= looked) check();
        }
        last =
          chunk.length >= looked
            ? Buffer.from(chunk.subarray(chunk.length - looked))
            : Buffer.concat([last, chunk]).subarray(-looked);
      },
      end() {
        if (!isRight) check();
        if (!ends.test(last.toString('latin1')))
          throw new Error(`read the dump: it ends without the last line of ${tool}: it was cut off`);
      },
    };
  };
}
