// Shows every thumbnail that the index lists.
const list = await (await fetch("thumbnails.json")).json();
const gallery = document.getElementById("gallery");
for (const { name, width, height } of list) {
  const image = new Image(width, height);
  image.src = `thumbnails/${encodeURIComponent(name)}`;
  image.alt = name;
  gallery.append(image);
}
