/** Pictures and sounds for the demo, made on the spot: no files in the repository, nothing loaded from elsewhere. */

const SAMPLE_RATE = 8000;
const WAV_HEADER_BYTES = 44;

/** A landscape; `seed` chooses its colours. */
export function picture(seed: number, width = 960, height = 640): Blob {
  const hue = (seed * 67) % 360;
  const hills = [0.55, 0.68, 0.82].map((top, index) => {
    const y = top * height;
    const bend = height * (0.08 + 0.03 * ((seed + index) % 3));
    const color = `hsl(${hue + 25 * index} 38% ${52 - 13 * index}%)`;
    return `<path d="M0 ${y} Q ${width * 0.25} ${y - bend} ${width * 0.5} ${y} T ${width} ${y} V ${height} H 0 Z" fill="${color}"/>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="hsl(${hue + 190} 62% 72%)"/><stop offset="1" stop-color="hsl(${hue + 20} 85% 88%)"/></linearGradient></defs>
<rect width="100%" height="100%" fill="url(#sky)"/><circle cx="${width * 0.72}" cy="${height * 0.3}" r="${height * 0.09}" fill="#fff8e1"/>
${hills.join("\n")}</svg>`;
  return new Blob([svg], { type: "image/svg+xml" });
}

/** Something that looks like speech as a waveform: syllables and pauses. */
export function voice(durationMs: number): Blob {
  const samples = Math.round((durationMs / 1000) * SAMPLE_RATE);
  const bytes = new DataView(new ArrayBuffer(WAV_HEADER_BYTES + samples * 2));
  header(bytes, samples);
  for (let index = 0; index < samples; index++) {
    const second = index / SAMPLE_RATE;
    const syllable = Math.max(0, Math.sin(second * 9) * Math.sin(second * 2.3 + 0.7) + 0.25 * Math.sin(second * 23));
    const tone = Math.sin(second * 2 * Math.PI * (170 + 40 * Math.sin(second * 3)));
    bytes.setInt16(WAV_HEADER_BYTES + index * 2, Math.round(tone * syllable * 14_000), true);
  }
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

function header(bytes: DataView<ArrayBuffer>, samples: number): void {
  const text = (at: number, word: string): void => {
    for (const [index, letter] of [...word].entries()) {
      bytes.setUint8(at + index, letter.charCodeAt(0));
    }
  };
  text(0, "RIFF");
  bytes.setUint32(4, 36 + samples * 2, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // PCM
  bytes.setUint16(22, 1, true); // mono
  bytes.setUint32(24, SAMPLE_RATE, true);
  bytes.setUint32(28, SAMPLE_RATE * 2, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, samples * 2, true);
}
