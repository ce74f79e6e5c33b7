// Draws a throttled minute as SVG: by scene a row, what was written in each second by either pace above what was left, and what share
// of the Kinesis records was refused. No library, the same bytes for the same figures.
import { FROM, type MinuteResult, type Scene, type Second, UNTIL } from './minute.ts';

export interface Row {
  readonly scene: Scene;
  readonly results: readonly MinuteResult[];
}

const WIDTH = 860;
const PANEL = { width: 350, height: 150, left: 55, gap: 70, top: 60, rowHeight: 230 };
const colours = { constant: '#c0392b', adaptive: '#1f6feb', left: '#999999' } as const;

export function plot(rows: readonly Row[]): string {
  const height = PANEL.top + rows.length * PANEL.rowHeight;
  const body = rows.flatMap((row, index) => drawRow(row, PANEL.top + index * PANEL.rowHeight));
  const key = [
    ...line(
      [
        [55, 24],
        [85, 24],
      ],
      colours.adaptive,
    ),
    text(90, 28, 'adaptive (Shardline)'),
    ...line(
      [
        [235, 24],
        [265, 24],
      ],
      colours.constant,
    ),
    text(270, 28, "constant (the KPL's)"),
    ...line(
      [
        [410, 24],
        [440, 24],
      ],
      colours.left,
      '4 3',
    ),
    text(445, 28, 'what others left'),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>A throttled minute: what was written, and what was refused</title>',
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...key,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function drawRow({ scene, results }: Row, top: number): string[] {
  const most = scene.shardCount * 1.6;
  const right = PANEL.left + PANEL.width + PANEL.gap;
  const first = results[0] as MinuteResult;
  return [
    text(PANEL.left, top - 8, scene.what, 'bold'),
    ...axes(PANEL.left, top, 'MiB/s written', most),
    ...axes(right, top, '% of Kinesis records refused', 100),
    ...drawLine(first.seconds, ({ left }) => left, PANEL.left, top, most, colours.left, '4 3'),
    ...results.flatMap(({ pace, seconds }) => [
      ...drawLine(seconds, ({ written }) => written, PANEL.left, top, most, colours[pace]),
      ...drawLine(seconds, refusedPercent, right, top, 100, colours[pace]),
    ]),
  ];
}

function refusedPercent({ refusedCount, writtenCount }: Second): number {
  const sent = refusedCount + writtenCount;
  return sent === 0 ? 0 : (100 * refusedCount) / sent;
}

function axes(left: number, top: number, title: string, most: number): string[] {
  const { width, height } = PANEL;
  const bottom = top + height;
  const ticks = [0, 0.5, 1].map((share) => {
    return text(left - 6, bottom - share * height + 4, (share * most).toFixed(most > 10 ? 0 : 1), 'end');
  });
  return [
    `<rect x="${left}" y="${top}" width="${width}" height="${height}" fill="none" stroke="#cccccc"/>`,
    ...ticks,
    text(left + 4, top + 14, title),
    text(left, bottom + 16, '0 s'),
    text(left + width, bottom + 16, '100 s', 'end'),
    text(left + (width * (FROM + UNTIL)) / 200, bottom + 16, `throttled from ${FROM} to ${UNTIL} s`, 'middle'),
  ];
}

function drawLine(
  seconds: readonly Second[],
  value: (second: Second) => number,
  left: number,
  top: number,
  most: number,
  colour: string,
  dash?: string,
): string[] {
  const points = seconds.map((second, index): readonly [number, number] => {
    const share = Math.min(1, value(second) / most);
    return [left + (PANEL.width * index) / seconds.length, top + PANEL.height * (1 - share)];
  });
  return line(points, colour, dash);
}

function line(points: readonly (readonly [number, number])[], colour: string, dash?: string): string[] {
  const path = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' ');
  const dashed = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
  return [`<polyline fill="none" stroke="${colour}" stroke-width="1.5"${dashed} points="${path}"/>`];
}

function text(x: number, y: number, words: string, how: 'start' | 'middle' | 'end' | 'bold' = 'start'): string {
  const style = how === 'bold' ? 'font-weight="bold"' : `text-anchor="${how}"`;
  return `<text x="${x}" y="${y}" ${style}>${words}</text>`;
}
