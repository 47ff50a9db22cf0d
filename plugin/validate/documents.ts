// A text cut into YAML documents where kubectl cuts it, each parsed by itself: what is wrong with one hides nothing of the others.
import { type Document, isDocument, Lexer, LineCounter, parseAllDocuments } from 'yaml';

/** 3 MiB, the API server's own limit for a request. */
export const maxDocumentBytes = 3 * 1024 * 1024;

/** The schema is some ten levels deep. */
export const maxDepth = 100;

/** 1-based. */
export interface Position {
  line: number;
  column: number;
}

/** Something that keeps a document from being read. */
export interface Unreadable {
  at: Position;
  message: string;
  fix: string;
}

export interface Parsed {
  document: Document;
  positionOf(offset: number): Position;
}

interface Chunk {
  text: string;
  /** Of its first line in the whole text. */
  line: number;
}

/**
 * Cuts before each line of `---`, and between JSON objects that follow each other. What only comments or holds directives stays with
 * what follows.
 */
export function cut(text: string): Chunk[] {
  const chunks: Chunk[] = [];
  let [from, fromLine, hasContent, closes] = [0, 1, false, false];
  for (let start = 0, line = 1; start < text.length; line++) {
    const newline = text.indexOf('\n', start);
    const next = newline === -1 ? text.length : newline + 1;
    const isMarker = /^---([ \t\r\n]|$)/.test(text.slice(start, start + 4));
    // Nowhere within one document an object begins where another one has just ended.
    if (hasContent && (isMarker || (closes && text[start] === '{'))) {
      chunks.push({ text: text.slice(from, start), line: fromLine });
      [from, fromLine, hasContent] = [start, line, false];
    }
    const content = text.slice(isMarker ? start + 3 : start, next).trim();
    hasContent ||= content !== '' && !/^[#%]/.test(content);
    closes = content === '' ? closes : content.endsWith('}');
    start = next;
  }
  chunks.push({ text: text.slice(from), line: fromLine });
  return chunks;
}

/** Every document of the text, or why it cannot be read; empty ones are left out. */
export function* parse(text: string): Generator<Parsed | Unreadable> {
  for (const chunk of cut(text)) yield* parseChunk(chunk);
}

// What the YAML grammar does not allow at all, and would be shown as nothing.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufffe\uffff]/;

function* parseChunk(chunk: Chunk): Generator<Parsed | Unreadable> {
  const at = { line: chunk.line, column: 1 };
  if (Buffer.byteLength(chunk.text) > maxDocumentBytes)
    return yield { at, message: 'is larger than 3 MiB', fix: 'split it; the API server takes no more' };
  if (isDeep(chunk.text)) return yield { at, ...tooDeep };
  // Files that were put together may each have begun with a byte order mark.
  const text = chunk.text.replace(/^(---[ \t\r]*\n)?\ufeff/, '$1');
  const lines = new LineCounter();
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: chunk.line + Math.max(line, 1) - 1, column: Math.max(col, 1) };
  };
  const found = parseAllDocuments(text, {
    ...{ lineCounter: lines, schema: 'failsafe', resolveKnownTags: false, merge: false },
    // Duplicate keys are looked for later: here it would take a square of their number.
    ...{ uniqueKeys: false, prettyErrors: false, logLevel: 'silent' },
  });
  const bad = control.exec(text);
  if (bad !== null) {
    const code = bad[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    return yield { at: positionOf(bad.index), message: `holds the control character U+${code}`, fix: 'remove it' };
  }
  if ('empty' in found) return;
  for (const document of found) {
    if (!isDocument(document)) continue;
    const [error] = document.errors;
    if (error === undefined) yield { document, positionOf };
    // What is missing at the end is told of the last line that there is.
    else yield { at: positionOf(Math.min(error.pos[0], text.trimEnd().length)), ...inWords(error) };
  }
}

const tooDeep = { message: 'is nested too deeply', fix: 'flatten it' };

/** The parser would take gigabytes for a million brackets, so they are counted before it sees them. */
function isDeep(text: string): boolean {
  const isSuspect = /(?:[[{][^[{]*){101}/.test(text) || /(?:[-?][ \t]+){101}/.test(text);
  if (!isSuspect) return false;
  let [brackets, dashes] = [0, 0];
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') brackets += 1;
    else if (token === ']' || token === '}') brackets -= 1;
    else if (token === '-' || token === '?') dashes += 1;
    else if (token === '\n' || token === '\r\n') dashes = 0;
    if (brackets > maxDepth || dashes > maxDepth) return true;
  }
  return false;
}

function inWords({ code, message }: { code: string; message: string }): { message: string; fix: string } {
  if (code === 'RESOURCE_EXHAUSTION') return tooDeep;
  const text = message.slice(0, 200).replace(/\s+/g, ' ');
  return { message: `is not YAML: ${text}`, fix: 'correct it; nothing of this document was checked' };
}
