// A button that copies the command; without script the command can still be selected with one click.
for (const box of document.querySelectorAll(".command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", () => {
    const code = box.querySelector("code");
    const done = (text) => {
      button.textContent = text;
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    // A page from a file may not use the clipboard; then the selection is ready for the keyboard.
    const select = () => { getSelection().selectAllChildren(code); done("Selected"); };
    navigator.clipboard?.writeText(code.textContent).then(() => done("Copied"), select) ?? select();
  });
  box.append(button);
}
