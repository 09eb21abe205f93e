// What a file holds, as a part of a message in logs, in status and on terminals.
const MAX_CHARACTERS = 90;
const HEAD_CHARACTERS = 60;
/** Control characters, those that turn the direction of text, and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** One line of at most 90 characters, cut in its middle; what can't be printed becomes its number, as in \u001b, which counts as one. */
export function printable(text: string): string {
  const cut =
    text.length <= MAX_CHARACTERS
      ? text
      : `${text.slice(0, HEAD_CHARACTERS)}…${text.slice(HEAD_CHARACTERS + 1 - MAX_CHARACTERS)}`;
  return cut.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The first line of what a parser of YAML says, which ends in where; the others show the file itself. */
export const parserMessage = (message: string): string => printable((message.split('\n')[0] ?? '').replace(/:$/, ''));
