// Lines that tell whoever waits what goes on, each with the seconds since the start.

export type Say = (text: string) => void;

export const sayTo = (stream: NodeJS.WriteStream): Say => {
  const started = performance.now();
  return (text) => stream.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${text}\n`);
};
