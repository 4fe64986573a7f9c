// The words for what the images of a data set show. The page's texts are written for digits; where the chosen
// model has learned something else, `worded` says them in its data set's words, so that no shoe is called a digit.

import { model, onModel } from "./studio.js";

const DIGITS = { noun: "digit", plural: "digits" };
const ATTRIBUTES = ["alt", "aria-label"];

const wordsOfModel = () => model() ?? DIGITS;

/** Whether the chosen model has learned digits. */
export const isOfDigits = () => wordsOfModel().noun === DIGITS.noun;

/** A text that speaks of digits, in the words of a data set, {noun, plural}; by default the chosen model's. */
export function worded(text, { noun, plural } = wordsOfModel()) {
  if (noun === DIGITS.noun) return text;
  const as = (found, word) => (found[0] === found[0].toUpperCase() ? word[0].toUpperCase() + word.slice(1) : word);
  return text
    .replace(/\ba digit\b/gi, (found) => as(found, `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`))
    .replace(/\bdigits\b/gi, (found) => as(found, plural))
    .replace(/\bdigit\b/gi, (found) => as(found, noun));
}

/**
 * What has to be said anew whenever the words change: the texts of a part's elements that are marked with
 * data-worded, and their names for those who hear the page. Returns the function that says them.
 */
export function sayer(element) {
  const texts = [...element.querySelectorAll("[data-worded]")].flatMap((marked) => [
    ...[...marked.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE),
    ...ATTRIBUTES.map((name) => marked.getAttributeNode(name)).filter(Boolean),
  ]);
  const original = texts.map(({ nodeValue }) => nodeValue);
  return (words) => texts.forEach((text, index) => (text.nodeValue = worded(original[index], words)));
}

/** Keeps a part in the words of the chosen model. */
export function keepWorded(element) {
  const say = sayer(element);
  onModel((card) => say(card));
}

/** What a class of the chosen model is called. */
export const className = (label) => model().class_names[label] ?? String(label);

/** Whether the classes of the chosen model have longer names than a button of a digit has room for. */
export const hasLongNames = () => model().class_names.some((name) => name.length > 2);

/** The images of a class of the chosen model: the 7s, or the images of class Sneaker. */
export const imagesOf = (label) =>
  isOfDigits() ? `the ${className(label)}s` : `the images of class ${className(label)}`;
